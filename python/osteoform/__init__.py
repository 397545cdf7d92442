"""3D leg bones from X-ray images."""

from osteoform._by_hand import HandEllipse, HandFeatures, HandPoint
from osteoform._core import ConeView, FitOptions, FitStatus, SlotView, __version__
from osteoform._detect import OnnxDetector
from osteoform._errors import (
    DetectionError,
    InputError,
    MissingExtraError,
    ModelFileError,
    OsteoformError,
    StudyError,
)
from osteoform._models import load_model
from osteoform._reconstruct import reconstruct
from osteoform._result import BoneReconstruction, Reconstruction
from osteoform._shape_model import ShapeModel
from osteoform._types import Detection, Detector, Mesh, XrayView
from osteoform.geometry import c_arm, slot_scanner, standard_views
from osteoform.io.features import read_features
from osteoform.io.study import Study, read_study

__all__ = [
    "BoneReconstruction",
    "ConeView",
    "Detection",
    "DetectionError",
    "Detector",
    "FitOptions",
    "FitStatus",
    "HandEllipse",
    "HandFeatures",
    "HandPoint",
    "InputError",
    "Mesh",
    "MissingExtraError",
    "ModelFileError",
    "OnnxDetector",
    "OsteoformError",
    "Reconstruction",
    "ShapeModel",
    "SlotView",
    "Study",
    "StudyError",
    "XrayView",
    "__version__",
    "c_arm",
    "load_model",
    "read_features",
    "read_study",
    "reconstruct",
    "slot_scanner",
    "standard_views",
]
