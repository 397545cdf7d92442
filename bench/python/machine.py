"""What a measurement was made on."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import osteoform


def describe_machine() -> dict[str, Any]:
    """Processor, versions, commit and date."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1_min": os.getloadavg()[0],
        "blas_threads": _blas_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "osteoform": osteoform.__version__,
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def _blas_threads() -> int | None:
    """How many threads NumPy's own OpenBLAS uses; None where it is another BLAS."""
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        return None
    libraries = {line.split()[-1] for line in maps.read_text().splitlines() if "openblas" in line}
    for library in sorted(path for path in libraries if "numpy" in path):
        for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads"):
            function = getattr(ctypes.CDLL(library), name, None)
            if function is not None:
                return int(function())
    return None


def _commit() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return run.stdout.strip() or "unknown"
