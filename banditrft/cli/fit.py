"""`banditrft fit SOURCE`: models of learning curves fitted, compared, and judged by what they forecast."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import echo, print_json, text_table
from banditrft.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from analysis.loading.records import Records

WHAT = ("auto", "items", "curves", "mean")
JSON, MARKDOWN = "fit.json", "fit.md"
BANDIT = "bandit"
"""Of a study: the bandit model of its designs, by name among --models."""


@click.command(name="fit")
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@click.option("--n", type=click.IntRange(min=1), help="Rollouts behind each fraction of a JSON file.")
@click.option(
    "--forecast", metavar="N", type=click.IntRange(min=2), help="Fit the first N entries, score the rest."
)
@click.option(
    "--until", metavar="M", type=click.IntRange(min=3), help="Score no entry from the M-th on (from 0)."
)
@click.option(
    "--what",
    type=click.Choice(WHAT),
    default="auto",
    help="Models of all items together, of each item's curve, or of the mean over items.",
)
@click.option(
    "--models",
    metavar="A,B",
    help="Models of curves, or families of items; of a study also 'bandit' [default: all].",
)
@click.option("--ablations", is_flag=True, help="Item models: switch each mechanism on and off as well.")
@click.option("--split", type=click.Choice(["train", "test"]), default="train", help="Which evaluations.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write fit.json and fit.md there."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    source: Path,
    n: int | None,
    forecast: int | None,
    until: int | None,
    what: str,
    models: str | None,
    ablations: bool,
    split: str,
    out: Path | None,
    as_json: bool,
) -> int:
    """Fit models of learning curves to SOURCE: a study's folder, or a file of success counts.

    Prints one line per condition: the best model by AIC and by held-out log-loss, by how much, and which
    models are as good. Parameters with intervals, and all other models, go to --out.

    A file is CSV, JSONL or Parquet with the columns item, round, n, correct (and condition, seed, split), or
    JSON {item: [fraction, ...]} with --n rollouts behind each fraction. Many items are fitted together, their
    settings chosen by cross-validation inside the fitted entries; few items one curve at a time; of a study
    the mean over items of each condition, and the bandit model of its designs.
    """
    from analysis.fits.tables import fit_table
    from banditrft.launch.machine import cores
    from banditrft.progress import Board

    if until is not None and forecast is None:
        raise InputError("--until: needs --forecast")
    table, records = _read(source, n, split)
    name = source.name
    wanted = None if models is None else [word.strip() for word in models.split(",")]
    bandit = records is not None and (wanted is None or BANDIT in wanted)
    if bandit and wanted is not None:
        wanted.remove(BANDIT)
    found: dict[str, Any] = {"source": name, "split": split, "forecast": forecast, "until": until}
    found |= fit_table(
        table,
        name,
        _what(what, table, folder=records is not None),
        wanted,
        forecast,
        until,
        ablations=ablations,
        bandit=records if bandit else None,
        workers=len(cores()),
        progress=Board,
    )
    _deliver(found, out, as_json=as_json)
    return 0


def _read(source: Path, n: int | None, split: str) -> tuple["pl.DataFrame", "Records | None"]:
    import polars as pl

    from analysis import load
    from analysis.loading.counts import counts_of, read_counts

    if source.is_dir():
        if n is not None:
            raise InputError("--n: records state their own n")
        records = load(source)
        return counts_of(records, "test" if split == "test" else "train"), records
    table = read_counts(source, n).filter(pl.col("split") == split)
    if not table.height:
        raise InputError(f"{source}: holds no counts of split {split!r}")
    return table, None


def _what(what: str, table: "pl.DataFrame", *, folder: bool) -> str:
    from analysis.fits.panel import FEWEST_ITEMS

    if what != "auto":
        return what
    if folder:
        return "mean"
    return "items" if table["item"].n_unique() >= FEWEST_ITEMS else "curves"


def _deliver(found: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    from analysis.fits.text import markdown
    from banditrft.files import write_bytes, write_json

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / JSON, found)
        write_bytes(out / MARKDOWN, markdown(found).encode())
    if as_json:
        print_json(found)
        return
    echo(_lines(found))
    where = "--out FOLDER writes them" if out is None else str(out / MARKDOWN)
    echo(f"All models, parameters and intervals: {where}.")


def _lines(found: dict[str, Any]) -> str:
    """The conclusions as a table, how they are meant, and the bandit's sentences."""
    from analysis.fits.text import COLUMNS, conclusions, remarks

    bandit = [f"Bandit model, {b['world']}: {b['sentence']}" for b in found.get("bandit", ())]
    said = [textwrap.fill(text, 100, subsequent_indent="  ") for text in (*remarks(found), *bandit)]
    return "\n".join([text_table(COLUMNS, conclusions(found), right=COLUMNS[2:3]), "", *said])
