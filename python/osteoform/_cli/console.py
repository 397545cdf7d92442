"""What the commands share: errors in one line, numbers as JSON or a table, progress."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from typer.core import TyperGroup

from osteoform._errors import InputError, OsteoformError
from osteoform._output import staged_file
from osteoform._types import BONES

# Redirected output is no terminal of 80 columns.
stdout = Console(width=None if sys.stdout.isatty() else 110)
stderr = Console(stderr=True)

_LISTS = {"--bones": BONES, "--views": ("ap", "lateral")}


class CommandGroup(TyperGroup):
    """Commands whose wrong input ends in one line on standard error and exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let `--json` stand alone and lists be written with spaces."""
        return super().parse_args(ctx, join_lists(complete_json(args)))

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what it finds wrong is one line, never a traceback."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly
        except (InputError, OsteoformError, OSError) as error:
            message = " ".join(str(error).split())
            sys.stderr.write(f"osteoform: error: {message}\n")
            raise typer.Exit(2) from None


def complete_json(args: Sequence[str]) -> list[str]:
    """Insert '-' after every `--json` that no file follows."""
    completed: list[str] = []
    for argument, following in zip(args, [*args[1:], "--"], strict=True):
        completed.append(argument)
        if argument == "--json" and following.startswith("--"):
            completed.append("-")
    return completed


def join_lists(args: Sequence[str]) -> list[str]:
    """Turn `--bones femur tibia` into `--bones femur,tibia`."""
    joined: list[str] = []
    allowed: Sequence[str] = ()
    for argument in args:
        names = argument.split(",")
        if allowed and all(name in allowed for name in names):
            if joined[-1] in _LISTS:
                joined.append(argument)
            else:
                joined[-1] += f",{argument}"
            continue
        allowed = _LISTS.get(argument, ())
        joined.append(argument)
    return joined


def write_json(values: Mapping[str, Any], target: str | None) -> None:
    """Write numbers to a file or, for '-', to standard output."""
    if target is None:
        return
    text = json.dumps(_plain(values), indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with staged_file(Path(target)) as path:
        path.write_text(text, encoding="utf-8")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    json_target: str | None,
    whole_names: bool = False,
) -> None:
    """Print a table, unless JSON takes its place on standard output.

    With `whole_names` the first column is never broken in lines.
    """
    if json_target == "-":
        return
    stdout.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=SIMPLE)
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows]
        justify: JustifyMethod = "right" if all(map(_is_number, cells)) else "left"
        table.add_column(
            escape(column), justify=justify, overflow="fold", no_wrap=whole_names and not index
        )
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    stdout.print(table)


def _plain(value: Any) -> Any:
    """JSON has no word for a number that is none: null."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_number(cell: str) -> bool:
    return cell in ("-", "") or cell.removeprefix("-").replace(".", "", 1).isdecimal()


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Ticker]:
    """Show a bar on standard error while work goes on; nothing where that is no terminal."""
    counted = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    columns = (TimeElapsedColumn(),) if total is None else counted
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *columns,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )
    with bar:
        yield Ticker(bar, description, total)


class Ticker:
    """Moves one progress bar."""

    def __init__(self, bar: Progress, description: str, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task(description, total=total)

    def __call__(self, description: str | None = None, *, total: int | None = None) -> None:
        """One more step is done; say what it was, or how many there are."""
        if total is not None:
            self._bar.update(self._task, total=total)
        if description is not None:
            self._bar.update(self._task, description=description)
        self._bar.advance(self._task)

    def set(self, completed: int, description: str) -> None:
        """So many steps are done."""
        self._bar.update(self._task, completed=completed, description=description)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; '-' where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def split_names(value: str | None) -> tuple[str, ...] | None:
    """Names separated by commas, in order, each once."""
    if value is None:
        return None
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
