"""What can go wrong, by name. InputError (a ValueError) comes from the C++ core."""

from __future__ import annotations

from osteoform._core import InputError


class OsteoformError(Exception):
    """Base of the errors that are not wrong arguments."""


class StudyError(OsteoformError, ValueError):
    """A study file, or an image it names, cannot be used."""


class ModelFileError(OsteoformError, ValueError):
    """A model file is missing, corrupt or of another version."""


class DetectionError(OsteoformError):
    """The detector network cannot be used."""


class MissingExtraError(OsteoformError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


__all__ = [
    "DetectionError",
    "InputError",
    "MissingExtraError",
    "ModelFileError",
    "OsteoformError",
    "StudyError",
]
