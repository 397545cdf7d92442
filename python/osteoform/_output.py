"""Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osteoform._errors import InputError


def check_folder(out: Path) -> None:
    """Refuse, before any work starts, a folder that cannot be made."""
    for path in (out, *out.parents):
        if path.exists():
            if not path.is_dir():
                raise InputError(f"{out}: needed a folder, found the file {path}")
            if not os.access(path, os.W_OK):
                raise InputError(f"{out}: needed a folder to write to, {path} is read-only")
            return


def check_file(out: Path) -> None:
    """Refuse, before any work starts, a file that cannot be made."""
    if out.is_dir():
        raise InputError(f"{out}: needed a file, found a folder")
    check_folder(out.parent)


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out`; its files move into `out` if the block succeeds."""
    check_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield staging
        out.mkdir(exist_ok=True)
        for file in sorted(staging.iterdir()):
            file.replace(out / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def staged_file(out: Path) -> Iterator[Path]:
    """Give a temporary path beside `out`, renamed to it if the block succeeds."""
    check_file(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.with_name(f".{os.getpid()}-{out.name}")  # keeps the suffix: it tells the format
    try:
        yield staging
        staging.replace(out)
    finally:
        staging.unlink(missing_ok=True)
