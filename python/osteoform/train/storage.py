"""Weights in a small file: single precision while used, bytes or halves while stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._types import F32

_HALF, _BYTES, _SCALE = ".half", ".bytes", ".scale"
# Weights beyond so many stand where the image is small, and lose least by being rounded.
_MOST_IN_HALVES = 20_000


def pack(model: Any) -> None:
    """Store an ONNX model's weights small; nodes that run once at loading give them back.

    Large weights become bytes with a scale per output channel, the others half precision.
    """
    import onnx

    nodes = []
    for tensor in [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]:
        name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.size <= _MOST_IN_HALVES:
            stored = {name + _HALF: values.astype(np.float16)}
            nodes += [_to_single(name + _HALF, name)]
        else:
            scale = _scale_of(values)
            stored = {name + _BYTES: np.rint(values / scale).astype(np.int8), name + _SCALE: scale}
            raw = name + ".raw"
            nodes += [
                _to_single(name + _BYTES, raw),
                onnx.helper.make_node("Mul", [raw, name + _SCALE], [name]),
            ]
        model.graph.initializer.remove(tensor)
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(value, key) for key, value in stored.items()
        )
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def unpack(model: Any) -> dict[str, F32]:
    """The weights of a model that was packed, by name."""
    import onnx

    stored: dict[str, NDArray[Any]] = {
        t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer
    }
    weights: dict[str, F32] = {}
    for key, value in stored.items():
        name, _, kind = key.rpartition(".")
        if "." + kind == _HALF:
            weights[name] = value.astype(np.float32)
        elif "." + kind == _BYTES:
            weights[name] = value.astype(np.float32) * stored[name + _SCALE]
        elif "." + kind != _SCALE:
            weights[key] = value.copy()
    return weights


def _scale_of(values: F32) -> F32:
    """What one step of a byte is worth per output channel, (out, 1, ...)."""
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scale: F32 = np.maximum(largest, 1e-12).astype(np.float32) / np.float32(127)
    return scale


def _to_single(source: str, target: str) -> Any:
    import onnx

    return onnx.helper.make_node("Cast", [source], [target], to=onnx.TensorProto.FLOAT)
