"""A diagram as files: NAME.svg, NAME.csv, NAME.md, and the index of all that are there.

What stands in the Markdown is computed from the CSV file, so text and data cannot part company.
"""

from pathlib import Path

import polars as pl

from banditrft.errors import InputError
from banditrft.files import write_bytes
from sims.diagrams import NAMES, load, style

INTRODUCTION = """# Phase diagrams of the simulated world

    banditrft diagram all

writes every file here: a figure, its data (one row per cell; columns ending in `_se` are Monte-Carlo standard
errors over seeds) and a page with parameters. Every number below is read off the CSV files.

| diagram | question | finding |
|---|---|---|
"""


def publish(name: str, out: Path, seeds: int | None = None) -> list[Path]:
    """Compute a diagram and write its files and the index.

    Args:
        name: One of `sims.diagrams.NAMES`.
        out: Folder, made if it is not there.
        seeds: Replicates per cell, at least 2; the diagram's own number by default.

    Returns:
        The files written, the index last.

    Raises:
        InputError: No such diagram, or too few seeds.
    """
    diagram = load(name)
    if seeds is not None and seeds < 2:
        raise InputError(f"--seeds: must be at least 2 for a standard error, got {seeds}")
    table = diagram.compute(diagram.SEEDS if seeds is None else seeds)
    out.mkdir(parents=True, exist_ok=True)
    data, figure, text = (out / f"{name}.{kind}" for kind in ("csv", "svg", "md"))
    write_bytes(data, table.write_csv().encode())
    table = pl.read_csv(data, infer_schema_length=None)
    write_bytes(figure, style.svg(diagram.draw(table)))
    command = f"banditrft diagram {name}" + ("" if seeds is None else f" --seeds {seeds}")
    write_bytes(text, page(name, table, command).encode())
    return [figure, data, text, write_index(out)]


def write_index(out: Path) -> Path:
    """README.md: one sentence for each diagram whose data are in the folder."""
    rows = []
    for name in NAMES:
        data = out / f"{name}.csv"
        if data.exists():
            diagram = load(name)
            table = pl.read_csv(data, infer_schema_length=None)
            rows.append(f"| [{name}]({name}.md) | {diagram.QUESTION} | {diagram.finding(table)} |\n")
    path = out / "README.md"
    write_bytes(path, (INTRODUCTION + "".join(rows)).encode())
    return path


def page(name: str, table: pl.DataFrame, command: str) -> str:
    """NAME.md: the question, the figure, the command, the finding, the caption."""
    diagram = load(name)
    return (
        f"# {diagram.QUESTION}\n\n![{diagram.QUESTION}]({name}.svg)\n\n    {command}\n\n"
        f"**{diagram.finding(table)}**\n\n{diagram.caption(table)}\n\nData: [{name}.csv]({name}.csv).\n"
    )
