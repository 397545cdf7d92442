"""The tables of the atlas as Markdown: `docs/atlas.md` is what `whole_page` writes."""

from __future__ import annotations

from collections.abc import Sequence

from osteoform.atlas._table import AtlasTable, Parameter
from osteoform.atlas.build import FAMILIES, family_of

COLUMNS = ("parameter", "unit", "mean", "sd", "with size", "measures", "source")

_INTRODUCTION = """\
# The atlas

The bones that ship are parametric. Each one is a table of named anatomical measurements with their mean
and spread in adults, and a mean form: a solid made of spheres, ellipsoids, swept sections and profiles
that has exactly these measurements. When a parameter changes, the solid changes, and the vertices of the
mesh follow it, so that all bones drawn from a table are in correspondence. The principal modes of such
bones, and smooth local modes for what no parameter describes, make the shape model that is fitted to
X-rays. No patient's mesh, vertex or mode is in it.

Right bones; x medial, y posterior, z proximal; lengths in mm. A left bone is the mirrored right one.

**How to read the tables.** *Mean* and *sd* are those of adults of both sexes together, as the model uses
them. *With size* is the correlation with a common size factor: a bone is drawn as
`mean + sd (w s + sqrt(1 - w²) d)`, where `w` is that number, `s` is the size, the same for all parameters
of the bone, and `d` is the parameter's own, both from N(0, 1). Unit 1 is a ratio to the mean.

**Sources.** "19 legs" are those 19 of the 26 left legs of LLP26
([musculoskeletal/models](https://github.com/musculoskeletal/models), Auckland Bioengineering Institute,
MPL-2.0) that are not held out for testing. They were measured; only means and spreads of the measurements
are used. The other sources are cited where they are used.

**Pictures.** For each bone: the mean bone of the atlas from four sides and both ends; then the same
beside the mean of those 19 legs (drawn from LLP26, MPL-2.0), laid on each other, with the gap
between their surfaces in colour and by region.

    osteoform atlas table --all --markdown > docs/atlas.md     # this page
    osteoform atlas show --out docs --width 1800               # its pictures; --beside BONES.npz for the second
"""


def picture_name(bone: str, *, beside: bool = False) -> str:
    """File name of a bone's sheet."""
    return f"atlas_{bone}_beside.png" if beside else f"atlas_{bone}.png"


def whole_page() -> str:
    """The page of all bones, in Markdown."""
    return "\n".join([_INTRODUCTION, *(section(bone) for bone in FAMILIES)])


def section(bone: str) -> str:
    """One bone in Markdown: pictures, parameters, mean form, inadequacy.

    Raises
    ------
    InputError
        The atlas has no such bone.
    """
    table = family_of(bone).table
    title = f"The mean {bone} of the atlas"
    other = f"{title} beside that of 19 legs, and the gap between them"
    form = f"[{bone}.toml](../python/osteoform/atlas/{bone}.toml)"
    parts = [
        f"## {bone.capitalize()}\n",
        f"![{title}]({picture_name(bone)})\n",
        f"![{other}]({picture_name(bone, beside=True)})\n",
        f"{len(table.parameters)} parameters:\n",
        _markdown(COLUMNS, parameter_rows(table), right=range(2, 5)),
        f"The mean form, part by part; the numbers are in {form}:\n",
        _markdown(("part", "what it is, and where its numbers come from"), _form_rows(table)),
        "What the finished model cannot express, sd along the normal:\n",
        _markdown(("region", "mm"), _inadequacy_rows(table), right=[1]),
        f"Source: {table.inadequacy_source}.\n",
    ]
    return "\n".join(parts)


def parameter_rows(table: AtlasTable) -> list[list[str]]:
    """Cells of every parameter, in the order of `COLUMNS`."""
    return [_cells(parameter) for parameter in table.parameters]


def _cells(parameter: Parameter) -> list[str]:
    return [
        parameter.name,
        parameter.unit,
        f"{parameter.mean:g}",
        f"{parameter.sd:g}",
        f"{parameter.size_loading:g}",
        parameter.measures,
        parameter.source,
    ]


def _form_rows(table: AtlasTable) -> list[list[str]]:
    return [[part.replace("_", " "), words] for part, words in table.form_sources.items()]


def _inadequacy_rows(table: AtlasTable) -> list[list[str]]:
    return [[region, f"{sd:g}"] for region, sd in table.inadequacy_mm.items()]


def _markdown(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> str:
    line = [f"|{'|'.join('---:' if k in right else '---' for k in range(len(columns)))}|"]
    cells = [f"| {' | '.join(map(_escaped, row))} |" for row in (columns, *rows)]
    return "\n".join([cells[0], *line, *cells[1:]]) + "\n"


def _escaped(cell: str) -> str:
    return " ".join(cell.replace("|", r"\|").split())
