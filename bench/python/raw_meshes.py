"""How well raw meshes become models: registration residuals, and the accuracy of what is built.

Bones in correspondence are made raw first: other triangles, other numbers, any pose, either side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import osteoform
from machine import describe_machine
from osteoform._trial import mirrored
from osteoform.evaluate import Protocol, Subject, evaluate, report
from osteoform.io.meshes import write_ply
from osteoform.modeling.correspondence import read_correspondence
from osteoform.modeling.from_meshes import (
    build_from_registrations,
    pool_registrations,
    register_all,
)
from osteoform.modeling.register import register_bone
from osteoform.modeling.repair import length_of, read_bone
from results import write_json

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "python"))

from reference.raw_mesh import raw

HELD_OUT = (2, 5, 9, 13, 17, 20, 23)
ONE = (0, 12, 24)  # each makes a model of one bone
PARTS = ("residuals", "one", "many", "leave_one_out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with llp26, visible-human, smir-femurs")
    parser.add_argument("--bone", default="femur", choices=("femur", "tibia", "fibula", "patella"))
    parser.add_argument("--template", type=Path, help="model file; default: the shipped one")
    parser.add_argument("--parts", nargs="+", default=PARTS)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    values: dict[str, Any] = {"machine": describe_machine(), "bone": arguments.bone}
    values["template"] = str(arguments.template.name) if arguments.template else "shipped"
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(arguments.data, arguments.bone, arguments.template, Path(folder))
        for part in arguments.parts:
            values[part] = getattr(bench, part)()
            write_json(arguments.json, values)
            print(json.dumps({part: values[part]}, indent=1), flush=True)  # noqa: T201


class _Bench:
    def __init__(self, data: Path, bone: str, template: Path | None, folder: Path) -> None:
        self.bone, self.template, self.folder = bone, template, folder
        self.collection = data / "llp26" / f"llp26_left_{bone}.npz"
        name = bone.capitalize()
        files = [*data.glob(f"visible-human/*{name}*.stl"), *data.glob(f"smir-femurs/*{bone}.vtk")]
        self.others = sorted(files)

    def residuals(self) -> list[dict[str, Any]]:
        """Every bone of the collections without correspondence, registered."""
        model = osteoform.load_model(self.template, bone=self.bone)
        length_mm = length_of(model.mean.astype(np.float64))
        rows = []
        for path in self.others:
            start = time.process_time()
            bone = read_bone(path, length_mm=length_mm)
            found = register_bone(model, bone.mesh)
            rows.append(
                {
                    "name": bone.name,
                    "repairs": list(bone.repairs),
                    "side": found.side,
                    "side_right": found.side in path.stem.lower() or "VSD" in path.stem,
                    "rms_mm": round(found.rms_mm, 3),
                    "max_mm": round(found.max_mm, 2),
                    "min_triangle_quality": round(found.min_quality, 3),
                    "cpu_s": round(time.process_time() - start, 1),
                }
            )
        return rows

    def one(self) -> list[dict[str, Any]]:
        """Models of one raw bone."""
        return [self._built(f"person {i}", self._raw([i])) for i in ONE]

    def many(self) -> dict[str, Any]:
        """The model of the people who are not held out, given as raw meshes."""
        people = len(read_correspondence(self.collection)[0])
        return self._built("19", self._raw([i for i in range(people) if i not in HELD_OUT]))

    def leave_one_out(self) -> dict[str, Any]:
        """Every person reconstructed with a model of all the others, given as raw meshes.

        Each bone is registered once, with the template and without the other bones. Mean and modes
        know the others alone. Two things know a little of the person who is left out:

        - The inadequacy, a weight of the fit, is that of the others in one leave-one-out over all:
          the models that left those residuals had the person in them.
        - The shipped template's tables were measured on those who are not in `HELD_OUT`. Those of
          `HELD_OUT` are unknown to it: they are also summed up by themselves.
        """
        vertices, faces = read_correspondence(self.collection)
        everyone = range(len(vertices))
        template = osteoform.load_model(self.template, bone=self.bone)
        length_mm = length_of(template.mean.astype(np.float64))
        start = time.monotonic()
        bones = [read_bone(path, length_mm=length_mm) for path in self._raw(everyone)]
        found = register_all(template, bones)
        registered = time.monotonic()
        built = build_from_registrations(template, bones, found)
        seconds = time.monotonic() - registered
        results = []
        for i in everyone:
            others = [one for j, one in enumerate(found) if j != i]
            residuals = np.delete(built.quality.residuals_mm, i, axis=0)
            model = pool_registrations(template, others, residuals)
            right = osteoform.Mesh(vertices=vertices[i].astype(np.float32), faces=faces)
            name = f"{self.collection.stem}-{i}"
            subject = Subject(name=name, mesh=mirrored(right), model=model)
            protocol = Protocol(side="left", features="simulated", seed=0)
            results += [outcome.result for outcome in evaluate([subject], protocol)]
        return {
            "bones": len(bones),
            "residual_rms_mm_mean": float(np.mean([one.rms_mm for one in found])),
            "residual_rms_mm_max": float(np.max([one.rms_mm for one in found])),
            "sides_right": sum(
                one.side == ("left" if i % 2 else "right") for i, one in enumerate(found)
            ),
            "left_out_rms_mm": built.quality.values()["left_out_rms_mm"],
            "register_s": round(registered - start, 1),
            "build_s": round(seconds, 1),
            "everyone": report(results)["summary"],
            "held_out_people": report([results[i] for i in HELD_OUT])["summary"],
            "mean_mm": [None if r.error is None else round(r.error.mean_mm, 3) for r in results],
            "status": [r.status for r in results],
        }

    def _raw(self, people: Sequence[int]) -> list[Path]:
        vertices, faces = read_correspondence(self.collection)
        paths = []
        for i in people:
            path = self.folder / f"person{i:02d}.ply"
            write_ply(
                path, _raw_mesh(vertices[i], faces, np.random.default_rng(i), mirror=bool(i % 2))
            )
            paths.append(path)
        return paths

    def _built(self, name: str, meshes: Sequence[Path]) -> dict[str, Any]:
        model = self.folder / "model.npz"
        template = ["--template", self.template] if self.template else []
        start = time.monotonic()
        built = _run("model", "build", *meshes, "--bone", self.bone, *template, "--out", model)
        seconds = time.monotonic() - start
        residuals = [entry["residual_rms_mm"] for entry in built["registration"]]
        sides = ["right" if int(m.stem[-2:]) % 2 == 0 else "left" for m in meshes]
        return {
            "name": name,
            "bones": len(meshes),
            "residual_rms_mm_mean": float(np.mean(residuals)),
            "residual_rms_mm_max": float(np.max(residuals)),
            "sides_right": sum(
                entry["side"] == side
                for entry, side in zip(built["registration"], sides, strict=True)
            ),
            "left_out_rms_mm": built["quality"]["left_out_rms_mm"],
            "build_s": round(seconds, 1),
            "held_out_people": self._accuracy(model, self.collection),
            "others": self._accuracy(model, *self.others) if self.others else None,
        }

    def _accuracy(self, model: Path, *meshes: Path) -> Any:
        """Of simulated features, so that the model is judged and not the detector."""
        options = ["--bone", self.bone, "--model", model, "--features", "simulated"]
        if meshes[0] == self.collection:
            held_out = ",".join(map(str, HELD_OUT))
            return _run("evaluate", *meshes, *options, "--side", "left", "--subjects", held_out)[
                "summary"
            ]
        sided = {
            side: [m for m in meshes if ("right" in m.stem.lower()) == (side == "right")]
            for side in ("left", "right")
        }
        return {
            side: _run("evaluate", *some, *options, "--side", side)["summary"]
            for side, some in sided.items()
            if some
        }


def _raw_mesh(
    vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator, *, mirror: bool
) -> osteoform.Mesh:
    split = raw(vertices, faces, rng, mirror=mirror)
    return osteoform.Mesh(vertices=split[0], faces=split[1])


def _run(*words: object) -> Any:
    command = [sys.executable, "-m", "osteoform", *map(str, words), "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
