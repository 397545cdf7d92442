"""What a user may rely on: names, versions, refusal of misspelt options, a light import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import osteoform

ROOT = Path(__file__).parents[2]


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in osteoform.__all__:
        thing = getattr(osteoform, name)
        if name != "__version__":
            assert thing.__doc__, name


def test_the_versions_agree() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    cmake = (ROOT / "CMakeLists.txt").read_text()
    assert f'version = "{osteoform.__version__}"' in pyproject
    assert re.search(rf"project\(osteoform VERSION {osteoform.__version__} ", cmake)


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(TypeError):
        osteoform.FitOptions(iteration=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("iterations", -1),
        ("search_start_mm", 0.0),
        ("boundary_sigma_mm", float("nan")),
        ("boundary_correlation_mm", 0.0),
        ("num_threads", 0),
        ("points_per_view", 3),
    ],
)
def test_an_option_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(osteoform.InputError, match=option):
        osteoform.FitOptions(**{option: value})


def test_importing_loads_neither_inference_nor_training() -> None:
    code = (
        "import sys, osteoform;"
        "assert not {'onnxruntime', 'torch', 'scipy', 'typer', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stub_is_up_to_date() -> None:
    pytest.importorskip("pybind11_stubgen")
    script = ROOT / "src_cpp" / "bindings" / "generate_stubs.py"
    run = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
