"""The network itself: a step of training, what its file keeps, and going on from a file."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from osteoform.train.export import Calibration, export_onnx
from osteoform.train.muon import Muon, orthogonal
from osteoform.train.network import Block, FeatureNet
from osteoform.train.steps import Stepper, new_optimizers, set_rate, settle
from osteoform.train.storage import pack, unpack
from osteoform.train.thaw import load_exported, mean_network, unfold
from training_batch import CHANNELS, random_batch


def test_loss_falls_on_one_batch():
    torch.manual_seed(0)
    net, batch = FeatureNet(CHANNELS), random_batch()
    step = Stepper(net, new_optimizers(net))
    history = [step(batch) for _ in range(8)]
    assert history[-1]["heat"] < history[0]["heat"] - 0.3
    assert all(np.isfinite(list(found.values())).all() for found in history)


def test_a_block_begins_as_the_identity():
    maps = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(Block(8)(maps), maps)


def test_a_step_as_in_use_leaves_the_statistics_alone():
    torch.manual_seed(0)
    net = as_if_trained()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    step, batch = Stepper(net, new_optimizers(net)), random_batch()
    for as_in_use in (True, False, True):
        before = [norm.running_mean.clone() for norm in norms]
        weight = net.stem[0].weight.detach().clone()
        step(batch, as_in_use=as_in_use)
        assert not torch.equal(net.stem[0].weight, weight)
        for norm, mean in zip(norms, before, strict=True):
            assert torch.equal(norm.running_mean, mean) == as_in_use


def test_rates_are_shares_of_the_highest():
    optimizers = new_optimizers(FeatureNet(CHANNELS))
    highest = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    for optimizer in optimizers:
        settle(optimizer, torch.device("cpu"))
    set_rate(optimizers, 0.25)
    assert [o.param_groups[0]["lr"] for o in optimizers] == [0.25 * rate for rate in highest]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="steps are recorded on a GPU only")
def test_recorded_steps_learn_as_plain_ones_do():
    gpu = torch.device("cuda")
    batch, losses = random_batch().to(gpu), []
    for recorded in (True, False):
        torch.manual_seed(0)
        net = FeatureNet(CHANNELS).to(gpu)
        optimizers = new_optimizers(net)
        for optimizer in optimizers:
            settle(optimizer, gpu)
        step = Stepper(net, optimizers)
        # Recording learns from its batch a few times before.
        found = [
            step(batch) if recorded else step._step(batch) for _ in range(8 if recorded else 11)
        ]
        losses.append(float(found[-1]["heat"]))
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_exported_network_agrees_with_pytorch(tmp_path):
    pytest.importorskip("onnx")
    from osteoform._detect import OnnxDetector

    torch.manual_seed(1)
    net = FeatureNet(CHANNELS).eval()
    path = tmp_path / "net.onnx"
    export_onnx(net, path, calibration=Calibration(), origin="test", seed=1)
    assert path.stat().st_size < 3e6
    detector = OnnxDetector(path, num_threads=1)
    assert detector.facts.points == CHANNELS.points
    images = np.random.default_rng(0).normal(size=(2, 128, 64)).astype(np.float32)
    found = detector.run(images)
    with torch.no_grad():
        read = net(torch.from_numpy(images[:, None]))
    logits = torch.cat([read.heat.flatten(2), read.absent[..., None]], 2)
    heat = torch.softmax(logits, 2)[..., :-1].reshape(read.heat.shape)
    # Files hold rounded weights.
    np.testing.assert_allclose(found[1].heat, heat[1].numpy(), atol=1e-4)
    np.testing.assert_allclose(found[0].box[:, :4], 32 * read.box[0].numpy(), atol=5e-2)
    np.testing.assert_allclose(found[1].turns, torch.softmax(read.turn[1], 0), atol=1e-3)
    np.testing.assert_allclose(found[1].direction, read.direction[1], atol=1e-3)


def as_if_trained() -> FeatureNet:
    """A network whose normalisations do something."""
    net = FeatureNet(CHANNELS)
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 2.0)
        torch.nn.init.normal_(norm.bias)
        torch.nn.init.normal_(norm.running_mean, std=0.1)
        torch.nn.init.uniform_(norm.running_var, 0.2, 0.6)
    return net


def test_exported_network_can_be_trained_further(tmp_path):
    torch.manual_seed(1)
    trained, images = as_if_trained(), torch.randn(8, 1, 64, 64)
    path = tmp_path / "net.onnx"
    origin = "`train --steps 1`, then with --from its network `train --steps 2`"
    export_onnx(trained, path, calibration=Calibration(), origin=origin, seed=0)
    net = FeatureNet(CHANNELS)
    assert load_exported(net, path) == ("train --steps 1", "train --steps 2")
    with torch.no_grad():
        want, loaded = trained.eval()(images), net.eval()(images)
        unfold(net, [images])
        unfolded, in_training = net.eval()(images), net.train()(images)
    # Files hold halves and, of large weights, bytes.
    assert (loaded.heat - want.heat).abs().max() < 0.03 * want.heat.abs().max()
    for got in (unfolded, in_training):
        assert (got.heat - loaded.heat).abs().max() < 1e-3 * want.heat.abs().max()
        assert (got.box - loaded.box).abs().max() < 3e-3 * want.box.abs().max()


def test_a_mean_network_is_halfway_between_two(tmp_path):
    torch.manual_seed(2)
    paths = [tmp_path / "first.onnx", tmp_path / "second.onnx"]
    nets = []
    for path in paths:
        export_onnx(as_if_trained(), path, calibration=Calibration(), origin="test", seed=0)
        net = FeatureNet(CHANNELS)
        load_exported(net, path)
        nets.append(dict(net.named_parameters()))
    mean = dict(mean_network(*paths).named_parameters())
    for name, weight in mean.items():
        want = 0.5 * (nets[0][name] + nets[1][name])
        torch.testing.assert_close(weight, want)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        same = FeatureNet(CHANNELS)
        load_exported(same, paths[0])
        want = same.eval()(images).heat
        got = mean_network(paths[0], paths[0])(images).heat
    torch.testing.assert_close(got, want)


def test_a_packed_model_keeps_its_weights_within_what_its_storage_rounds():
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(0)
    small, large = (
        rng.normal(size=(4, 5)),
        rng.normal(size=(200, 300)) * np.geomspace(1e-3, 10, 200)[:, None],
    )
    model = onnx.helper.make_model(onnx.helper.make_graph([], "net", [], []))
    for name, values in (("a.weight", small), ("b.weight", large)):
        tensor = onnx.numpy_helper.from_array(values.astype(np.float32), name)
        model.graph.initializer.append(tensor)
    pack(model)
    kept = unpack(model)
    np.testing.assert_allclose(kept["a.weight"], small, rtol=1e-3)
    # Half a step of 127 to the largest of each channel.
    step = np.abs(large).max(axis=1, keepdims=True) / 127
    assert (np.abs(kept["b.weight"] - large) <= 0.501 * step).all()
    assert sum(len(t.raw_data) for t in model.graph.initializer) < 1.1 * large.size


def test_muon_s_update_is_nearly_orthogonal():
    generator = torch.Generator().manual_seed(0)
    for shape in ((8, 30), (30, 8), (5, 5)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape, generator=generator)))
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_muon_moves_every_weight_of_a_shape_by_its_own_gradient():
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.zeros(4, 3, 1, 1)) for _ in range(2)]
    alone = torch.nn.Parameter(torch.zeros(4, 3, 1, 1))
    gradients = [torch.randn(4, 3, 1, 1) for _ in range(2)]
    for weight, gradient in zip([*weights, alone], [*gradients, gradients[1]], strict=True):
        weight.grad = gradient
    Muon(weights, lr=0.1, momentum=0.9).step()
    Muon([alone], lr=0.1, momentum=0.9).step()
    torch.testing.assert_close(weights[1], alone)
    assert (weights[0] - weights[1]).abs().max() > 0.01
