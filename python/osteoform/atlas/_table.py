"""The table of a bone: named parameters with their spread and source, and its mean form."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from osteoform._errors import InputError
from osteoform._types import F64


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One anatomical parameter.

    Attributes
    ----------
    mean, sd
        Of adults, in `unit`.
    size_loading
        Correlation with the common size factor, -1..1.
    measures, source
        What it is, and where the numbers come from.
    """

    name: str
    unit: str
    mean: float
    sd: float
    size_loading: float
    measures: str
    source: str


@dataclass(frozen=True, kw_only=True)
class AtlasTable:
    """Parameters in order, the mean form by part, and what the family leaves out by region.

    `form_sources` says what each part is and where its numbers come from. `inadequacy_mm` maps a
    region to the sd, along the normal, of what the finished model cannot express of real bones.
    """

    bone: str
    parameters: tuple[Parameter, ...]
    form: Mapping[str, Mapping[str, F64]] = field(repr=False)
    form_sources: Mapping[str, str] = field(repr=False)
    inadequacy_mm: Mapping[str, float]
    inadequacy_source: str

    @property
    def means(self) -> dict[str, float]:
        """The mean of every parameter."""
        return {p.name: p.mean for p in self.parameters}

    def at(self, size: float, own: F64) -> dict[str, float]:
        """Values for a common size factor and each parameter's own deviation (P,), both N(0, 1)."""
        return {
            p.name: p.mean
            + p.sd * (p.size_loading * size + np.sqrt(1 - p.size_loading**2) * float(d))
            for p, d in zip(self.parameters, own, strict=True)
        }


def load_table(bone: str) -> AtlasTable:
    """Read the table shipped for a bone.

    Raises
    ------
    InputError
        There is no table for this bone.
    """
    path = files("osteoform.atlas") / f"{bone}.toml"
    if not path.is_file():
        raise InputError(f"the atlas has no table for {bone!r}")
    raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    parameters = tuple(Parameter(name=name, **row) for name, row in raw["parameter"].items())
    form = {
        part: {k: np.array(v, dtype=np.float64) for k, v in rows.items() if k != "source"}
        for part, rows in raw["form"].items()
    }
    return AtlasTable(
        bone=bone,
        parameters=parameters,
        form=form,
        form_sources={
            part: " ".join(str(rows.get("source", "")).split())
            for part, rows in raw["form"].items()
        },
        inadequacy_mm=dict(raw["inadequacy_mm"]["region"]),
        inadequacy_source=str(raw["inadequacy_mm"].get("source", "")),
    )
