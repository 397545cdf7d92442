"""Tables that ship with the package."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def shipped_table(name: str) -> dict[str, Any]:
    """`data/<name>.toml`, read once."""
    text = files("osteoform").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
