"""Prints the README's command that follows the marker <!-- NAME -->."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def command(name: str) -> str:
    """The shell block after the marker."""
    match = re.search(rf"<!-- {name} -->\s*```\w*\n(.*?)```", README.read_text(), re.DOTALL)
    if match is None:
        raise SystemExit(f"{README} has no command marked <!-- {name} -->")
    return match.group(1).strip()


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]) + "\n")
