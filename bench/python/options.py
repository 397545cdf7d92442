"""What studies of the bones of a collection are asked with."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path


def legs_parser(doc: str, *, seed: int, writes: bool = True) -> ArgumentParser:
    """Parser of a script with this docstring: where the legs lie, the seed and the result.

    A script that `writes` needs a file for its result, another may be given one.
    """
    parser = ArgumentParser(description=doc.splitlines()[0])
    shared = os.environ.get("OSTEOFORM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(shared) / "bones" / "llp26")
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--json", type=Path, required=writes, help="file of the result")
    return parser
