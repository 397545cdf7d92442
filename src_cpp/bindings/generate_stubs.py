"""Writes python/osteoform/_core.pyi from the compiled module; --check compares instead."""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STUB = Path(__file__).parents[2] / "python" / "osteoform" / "_core.pyi"


def core_stub() -> str:
    """The stub as text, formatted."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "osteoform._core", "-o", folder]
        subprocess.run(command, check=True, capture_output=True)
        text = (Path(folder) / "osteoform" / "_core.pyi").read_text()
        # Native enums: mypy wants members with a value, and no __new__ or __format__ of its own.
        text = re.sub(r"(\w+): typing\.ClassVar\[(\w+)\].*", r"\1 = ...", text)
        text = re.sub(
            r"    @classmethod\n    def __new__\(cls, value\):\n        \.\.\.\n", "", text
        )
        text = re.sub(
            r"    def __format__\(self, format_spec\):\n(?:.*\n)+?        \.\.\.\n", "", text
        )
        text = re.sub(r"-> tuple:", "-> tuple[typing.Any, ...]:", text)
        # The version is the build's, not the stub's.
        text = re.sub(r"__version__: str = .*", "__version__: str", text)
        draft = Path(folder) / "stub.pyi"
        draft.write_text(text)
        subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--line-length", "100", str(draft)],
            check=True,
            capture_output=True,
        )
        return draft.read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the committed stub is stale")
    arguments = parser.parse_args()
    fresh = core_stub()
    if not arguments.check:
        STUB.write_text(fresh)
        return 0
    committed = STUB.read_text()
    if fresh == committed:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(
            committed.splitlines(True), fresh.splitlines(True), "committed", "generated"
        )
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
