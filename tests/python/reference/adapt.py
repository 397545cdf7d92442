"""The package's values as the reference's, by their attributes alone: nothing is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.alignment import Features
from reference.options import Options
from reference.shape import Model
from reference.views import Cone, Slot


def view_of(geometry: Any) -> Cone | Slot:
    pose = np.asarray(geometry.view_from_world)
    where = {"rotation": pose[:3, :3].copy(), "translation": pose[:3, 3].copy()}
    if hasattr(geometry, "principal_px"):
        return Cone(
            **where,
            focal_px=np.asarray(geometry.focal_px),
            principal_px=np.asarray(geometry.principal_px),
        )
    return Slot(
        **where,
        focal_px=geometry.focal_px,
        principal_u_px=geometry.principal_u_px,
        row_pitch_mm=geometry.row_pitch_mm,
        first_row_mm=geometry.first_row_mm,
    )


def model_of(model: Any) -> Model:
    """A model of one side; mirror a left one first."""
    return Model(**{name: getattr(model, name) for name in Model.__dataclass_fields__})


def features_of(detection: Any) -> Features:
    return Features(**{name: getattr(detection, name) for name in Features.__dataclass_fields__})


def options_of(options: Any) -> Options:
    return Options(**{name: getattr(options, name) for name in Options.__dataclass_fields__})
