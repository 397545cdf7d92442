"""Builds the C++ tests and lists each as a test of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "cpp"
BUILD = ROOT / "build" / "cpp-tests"
TEST = re.compile(r"^(TEST|TEST_F|TEST_P)\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)


def _filters() -> list[str]:
    found = []
    for source in sorted(SOURCES.rglob("*_test.cpp")):
        for kind, suite, name in TEST.findall(source.read_text()):
            found.append(f"*/{suite}.{name}/*" if kind == "TEST_P" else f"{suite}.{name}")
    return found


def _prefix_paths() -> str:
    """Where the build requirements of this environment lie, cmeel-eigen's headers among them."""
    return ";".join(p for p in sys.path if p.endswith("site-packages"))


@pytest.fixture(scope="session")
def cpp_tests() -> Path:
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake was not found: the C++ tests were not built")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = [
        *(cmake, "-S", str(ROOT), "-B", str(BUILD), *generator, "-DCMAKE_BUILD_TYPE=Release"),
        *("-DOSTEOFORM_PYTHON=OFF", "-DOSTEOFORM_TESTS=ON"),
        f"-DCMAKE_PREFIX_PATH={_prefix_paths()}",
    ]
    done = subprocess.run(configure, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "GoogleTest was not found" in done.stderr:
        pytest.skip("GoogleTest was not found (Debian: libgtest-dev): the C++ tests were not built")
    built = subprocess.run(
        [cmake, "--build", str(BUILD), "--parallel", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(BUILD.rglob("osteoform_tests"))


@pytest.mark.parametrize("name", _filters())
def test_cpp(cpp_tests: Path, name: str) -> None:
    run = subprocess.run(
        [str(cpp_tests), f"--gtest_filter={name}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "[  PASSED  ] 0 tests" not in run.stdout, f"{name} was not found in the test program"
