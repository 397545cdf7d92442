"""Where results go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a result so that its changes read line by line."""
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
