"""The floors of the house: a file may use only what lies below it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src_cpp" / "osteoform"
PACKAGE = ROOT / "python" / "osteoform"

FLOORS = [
    {"base"},
    {"geometry"},
    {"xray", "ssm", "image"},
    {"silhouette", "features", "drr"},
    {"fit"},
    {"leg", "cuda"},
]
# Rooms on one floor that do not know each other, and what may not be seen from further up.
STRANGERS = [{"xray", "ssm", "image"}, {"silhouette", "features", "drr"}]
FORBIDDEN = {"drr": {"image", "ssm"}, "cuda": {"image", "ssm", "leg"}}
FLOOR_OF = {name: level for level, names in enumerate(FLOORS) for name in names}
INCLUDE = re.compile(r'#include "osteoform/(\w+)/')

CORE_FILES = sorted([*CORE.rglob("*.*pp"), *CORE.rglob("*.cu*")])
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(CORE).parts[0]


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_includes_point_down(path: Path) -> None:
    here = _room(path)
    for there in INCLUDE.findall(path.read_text()):
        below = FLOOR_OF[there] < FLOOR_OF[here]
        assert there == here or below, f"{here} must not include {there}"
        assert there not in FORBIDDEN.get(here, set()), f"{here} must not include {there}"
        for floor in STRANGERS:
            assert there == here or not {here, there} <= floor, f"{here} must not know {there}"


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_the_core_knows_no_python_and_prints_nothing(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"pybind11|nanobind|Python\.h", text)
    assert not re.search(r"std::c(out|err)|printf\(", text)
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n")


def _imports(path: Path) -> set[str]:
    pattern = re.compile(r"^\s*(?:from|import) +([\w.]+)", re.MULTILINE)
    return set(pattern.findall(path.read_text()))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_one_file_imports_onnxruntime_and_one_folder_torch(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    for module in _imports(path):
        top = module.split(".")[0]
        if top == "onnxruntime":
            assert name == "_onnx.py"
        if top in ("torch", "onnx"):
            assert name.startswith("train/")
        if top == "tests":
            pytest.fail("the package must not import its tests")


def test_files_stay_small() -> None:
    files = [*CORE_FILES, *PYTHON_FILES, *(ROOT / "tests").rglob("*.py")]
    long = {
        str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text().splitlines())) > 400
    }
    assert not long, f"split these files: {long}"
