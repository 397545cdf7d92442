"""X-ray geometries against points placed by hand in the patient (LPS: left, posterior, superior)."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from osteoform import _core
from osteoform._errors import InputError
from osteoform.geometry import c_arm, slot_scanner, standard_views

MACHINE = {
    "source_detector_mm": 1200.0,
    "source_object_mm": 800.0,
    "pixel_mm": 0.5,
    "size_px": (401, 301),
}
MIDDLE = np.array([200.0, 150.0])
LEFT, BACK, HEAD = np.eye(3)


def source_of(view: _core.ConeView) -> np.ndarray:
    pose = view.view_from_world
    return -pose[:3, :3].T @ pose[:3, 3]


def seen(view: _core.ConeView | _core.SlotView, point: np.ndarray) -> np.ndarray:
    return view.project(point[None])[0] - MIDDLE


def test_the_c_arm_at_rest_has_its_source_behind_the_patient() -> None:
    view = c_arm(**MACHINE)
    np.testing.assert_allclose(source_of(view), 800.0 * BACK, atol=1e-9)
    # 10 mm at the isocenter is 15 mm on the detector, 30 px; seen along the beam, from behind,
    # the patient's left is left, the head is up.
    np.testing.assert_allclose(seen(view, 10.0 * LEFT), [-30.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(seen(view, 10.0 * HEAD), [0.0, -30.0], atol=1e-9)
    np.testing.assert_allclose(seen(view, 0.0 * HEAD), [0.0, 0.0], atol=1e-9)


def test_positioner_angles_move_the_detector_to_the_left_and_to_the_head() -> None:
    np.testing.assert_allclose(source_of(c_arm(90.0, **MACHINE)), -800.0 * LEFT, atol=1e-9)
    np.testing.assert_allclose(source_of(c_arm(0.0, 90.0, **MACHINE)), -800.0 * HEAD, atol=1e-9)
    tilted = source_of(c_arm(0.0, 30.0, **MACHINE))
    np.testing.assert_allclose(tilted, 800.0 * np.array([0.0, np.cos(np.pi / 6), -0.5]), atol=1e-9)
    turned_then_tilted = -source_of(c_arm(30.0, 20.0, **MACHINE)) / 800.0
    p, s = np.deg2rad([30.0, 20.0])
    expected = [np.sin(p) * np.cos(s), -np.cos(p) * np.cos(s), np.sin(s)]
    np.testing.assert_allclose(turned_then_tilted, expected, atol=1e-9)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (37.0, -12.0), (-110.0, 25.0), (180.0, 5.0)])
def test_the_head_stays_up_and_the_isocenter_in_the_middle(angles: tuple[float, float]) -> None:
    isocenter = np.array([5.0, -3.0, 700.0])
    view = c_arm(*angles, isocenter=isocenter, **MACHINE)
    np.testing.assert_allclose(seen(view, isocenter), [0.0, 0.0], atol=1e-9)
    step = seen(view, isocenter + 0.01 * HEAD)
    assert step[1] < 0.0
    np.testing.assert_allclose(step[0], 0.0, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(source_of(view) - isocenter), MACHINE["source_object_mm"]
    )


def test_the_slot_scanner_magnifies_columns_only() -> None:
    view = slot_scanner(**MACHINE)
    np.testing.assert_allclose(seen(view, 10.0 * LEFT), [30.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(seen(view, 10.0 * HEAD), [0.0, -20.0], atol=1e-9)
    # Nearer to the source, which is in front of the patient: larger across, the same along.
    nearer = seen(view, 10.0 * LEFT + 10.0 * HEAD - 400.0 * BACK)
    np.testing.assert_allclose(nearer, [60.0, -20.0], atol=1e-9)


@pytest.mark.parametrize("kind", ["cone", "slot"])
def test_standard_views_are_ap_and_lateral(kind: str) -> None:
    center = np.array([80.0, 20.0, 900.0])
    views = standard_views(kind, center=center, size_px=(401, 301))
    assert list(views) == ["ap", "lateral"]
    ap, lateral = views["ap"], views["lateral"]
    for view in views.values():
        np.testing.assert_allclose(seen(view, center), [0.0, 0.0], atol=1e-9)
        assert seen(view, center + HEAD)[1] < 0.0
    beams = [view.view_from_world[2, :3] for view in views.values()]
    np.testing.assert_allclose(beams, [BACK, -LEFT], atol=1e-12)
    assert seen(ap, center + LEFT)[0] > 0.0
    assert seen(lateral, center + BACK)[0] > 0.0


def test_a_standard_slot_view_has_square_pixels_at_its_center() -> None:
    view = standard_views("slot", size_px=(401, 301))["ap"]
    assert seen(view, 10.0 * LEFT)[0] == pytest.approx(-seen(view, 10.0 * HEAD)[1])


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="source_object_mm"):
        c_arm(**{**MACHINE, "source_object_mm": 1300.0})
    with pytest.raises(InputError, match="pixel_mm"):
        c_arm(**{**MACHINE, "pixel_mm": 0.0})
    with pytest.raises(InputError, match="size_px"):
        slot_scanner(**{**MACHINE, "size_px": (0, 10)})
    with pytest.raises(InputError, match="isocenter"):
        slot_scanner(isocenter=(0.0, 1.0), **MACHINE)
    with pytest.raises(InputError, match="kind"):
        standard_views("fan")
    with pytest.raises(InputError, match="names"):
        standard_views(names=("ap", "oblique"))


@pytest.mark.parametrize("make", [c_arm, slot_scanner])
@pytest.mark.parametrize("through", [copy.deepcopy, lambda view: pickle.loads(pickle.dumps(view))])
def test_a_geometry_survives_a_copy_and_a_pickle(make, through) -> None:
    """As when views go to another process."""
    view = make(33.0, **MACHINE)
    points = np.random.default_rng(0).normal(0.0, 50.0, (20, 3))
    again = through(view)
    assert type(again) is type(view)
    np.testing.assert_array_equal(again.view_from_world, view.view_from_world)
    np.testing.assert_array_equal(again.project(points), view.project(points))
