"""Fixtures all tests share."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=0, help="shift every test's random stream")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A random stream of the test's own; its seed is printed when the test fails."""
    shift = request.config.getoption("--seed")
    seed = zlib.crc32(request.node.nodeid.encode()) + shift
    print(f"seed {seed} (--seed={shift})")  # noqa: T201
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bones and X-rays, which is not part of the repository."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("OSTEOFORM_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set OSTEOFORM_DATA")
    return folder
