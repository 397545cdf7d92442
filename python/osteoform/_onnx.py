"""Opening ONNX files: the only importer of onnxruntime, late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osteoform._errors import DetectionError, MissingExtraError

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: str | Path, num_threads: int, *, what: str) -> onnxruntime.InferenceSession:
    """Open a network on the CPU; `what` it is goes into the messages.

    Raises
    ------
    DetectionError
        The file is missing or unreadable.
    MissingExtraError
        onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "detection needs onnxruntime: pip install onnxruntime, or pass features="
        ) from error
    if not Path(path).is_file():
        raise DetectionError(f"{what} {path} does not exist")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DetectionError(f"{path} is not a readable ONNX network: {error}") from error
