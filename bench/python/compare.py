"""Compare the core's fit with the same fit in Python: time, and accuracy of the same runs.

    python bench/python/compare.py --json bench/results/compare.json

Everyone gets the same model, images, features and start, searches equally often, takes one step
per search on the same residuals and stops by the same rule. A pair is one fit by the core and one
in Python, back to back in this process; a ratio is the median over all pairs. Ratios of processor
time, next to those of the wall clock, hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fit_case import FitCase, default_model, fit_in_python
from machine import describe_machine
from osteoform import FitOptions
from results import write_json
from scipy_step import scipy_step

METHODS: dict[str, tuple[str, Callable[[], Any]]] = {
    "numpy_analytic": ("NumPy, analytic", lambda: None),
    "scipy_analytic": ("scipy, analytic", lambda: scipy_step("analytic")),
    "scipy_numeric": ("scipy, 2-point", lambda: scipy_step("2-point")),
}
TARGETS = {"numpy_analytic": 15.0, "scipy_numeric": 60.0}
STAGES = ("match", "prepare", "search", "solve", "summary")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--cases", type=int, default=3, help="bones (default 3)")
    parser.add_argument(
        "--pairs", type=int, default=7, help="pairs per bone and method (default 7)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first bone (default 1)")
    parser.add_argument(
        "--num-threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="of the core (default: this machine's cores)",
    )
    arguments = parser.parse_args()
    options = FitOptions(num_threads=arguments.num_threads)
    seeds = range(arguments.seed, arguments.seed + arguments.cases)
    cases = [FitCase.draw(default_model(), seed) for seed in seeds]
    values = compare(cases, options, arguments.pairs)
    report(values)
    if arguments.json:
        write_json(arguments.json, values)


def compare(cases: list[FitCase], options: FitOptions, num_pairs: int) -> dict[str, Any]:
    """Run all pairs; ratios, times [ms] and errors [mm] by method."""
    stages: list[dict[str, float]] = []
    core = _Record()
    python = {name: _Record() for name in METHODS}
    runs = [(case, name) for case in cases for name in METHODS]
    for case, name in track(runs, description="pairs", console=Console(stderr=True)):
        arguments = case.reference()
        step = METHODS[name][1]()
        for pair in range(num_pairs + 1):
            ours, our_times = _timed(lambda case=case: case.fit(options))
            theirs, their_times = _timed(
                lambda arguments=arguments, step=step: fit_in_python(arguments, options, step)
            )
            if pair == 0:  # warms caches and pages
                python[name].errors.append(case.error(theirs.vertices).mean_mm)
                python[name].iterations.append(theirs.iterations)
                if name == "numpy_analytic":
                    core.errors.append(case.error(ours.vertices).mean_mm)
                    core.iterations.append(ours.iterations)
                continue
            core.times_ms.append(our_times)
            python[name].times_ms.append(their_times)
            python[name].ratios.append(their_times / our_times)
            stages.append({s: getattr(ours.times, f"{s}_ms") for s in STAGES})
    return {
        **{f"ratio_{name}": record.ratio()[0] for name, record in python.items()},
        **{f"cpu_ratio_{name}": record.ratio()[1] for name, record in python.items()},
        "methods": {
            "osteoform": core.summary(core),
            **{name: record.summary(core) for name, record in python.items()},
        },
        "stages_ms": {s: float(np.median([t[s] for t in stages])) for s in STAGES},
        "problem": _describe_problem(cases, options),
        "pairs": num_pairs * len(cases),
        "machine": describe_machine(),
    }


class _Record:
    """What was measured of one method, over all bones and pairs."""

    def __init__(self) -> None:
        self.times_ms: list[np.ndarray] = []  # wall clock, processor
        self.ratios: list[np.ndarray] = []
        self.errors: list[float] = []
        self.iterations: list[int] = []

    def ratio(self) -> list[float]:
        """Medians over the pairs: of wall clocks, of processor times."""
        return [float(x) for x in np.median(self.ratios, axis=0)]

    def summary(self, core: _Record) -> dict[str, Any]:
        gap = np.abs(np.subtract(self.errors, core.errors))
        wall_ms, cpu_ms = np.transpose(self.times_ms)
        return {
            "median_ms": float(np.median(wall_ms)),
            "iqr_ms": float(np.subtract(*np.percentile(wall_ms, [75, 25]))),
            "fastest_ms": float(np.min(wall_ms)),
            "median_cpu_ms": float(np.median(cpu_ms)),
            "mean_error_mm": float(np.mean(self.errors)),
            "errors_mm": self.errors,
            "largest_difference_mm": float(np.max(gap)),
            "iterations": self.iterations,
        }


def _timed(run: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """What it returns; wall clock and processor time of all threads [ms]."""
    start = np.array([time.perf_counter(), time.process_time()])
    result = run()
    return result, 1e3 * (np.array([time.perf_counter(), time.process_time()]) - start)


def _describe_problem(cases: list[FitCase], options: FitOptions) -> dict[str, Any]:
    model, views = cases[0].model, cases[0].trial.views
    return {
        "model": model.bone,
        "vertices": model.num_vertices,
        "modes": model.num_modes,
        "parameters": 6 + model.num_modes + 6 * (len(views) - 1),
        "views": len(views),
        "image_px": [list(view.pixels.shape[::-1]) for case in cases for view in case.trial.views],
        "points_per_view": options.points_per_view,
        "most_searches": options.iterations,
        "num_threads": options.num_threads,
        "bones": len(cases),
    }


def report(values: dict[str, Any]) -> None:
    """Print the table."""
    problem, machine = values["problem"], values["machine"]
    table = Table(
        title=f"whole fit: {problem['views']} views, {problem['parameters']} parameters, "
        f"{problem['vertices']} vertices, {values['pairs']} pairs over {problem['bones']} bones"
    )
    table.add_column("method")
    for name in ("ms", "ratio", "target", "of cpu", "error mm", "differs mm", "searches"):
        table.add_column(name, justify="right")
    names = {"osteoform": "osteoform (C++)", **{name: METHODS[name][0] for name in METHODS}}
    for key, label in names.items():
        method = values["methods"][key]
        ratio = values.get(f"ratio_{key}", 1.0)
        target = TARGETS.get(key)
        table.add_row(
            label,
            f"{method['median_ms']:.1f}",
            f"{ratio:.1f}",
            f">= {target:.0f}" if target else "",
            f"{values.get(f'cpu_ratio_{key}', 1.0):.1f}",
            f"{method['mean_error_mm']:.3f}",
            f"{method['largest_difference_mm']:.4f}",
            f"{np.mean(method['iterations']):.1f}",
        )
    console = Console(width=100)
    console.print(table)
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in values["stages_ms"].items())
    console.print(f"osteoform's stages in ms: {stages}")
    console.print(
        f"{machine['processor']}, {machine['cores']} cores; osteoform on "
        f"{problem['num_threads']} thread(s), BLAS on {machine['blas_threads']}; "
        f"load {machine['load_average_1_min']:.1f}"
    )


if __name__ == "__main__":
    main()
