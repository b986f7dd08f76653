"""`banditrft report RUNS`: verdicts and report.html from records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from banditrft.cli.common import echo, print_json, text_table
from banditrft.errors import InputError

NAME, VERDICTS = "report.html", "verdicts.json"


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """The verdicts of a report, without their raw points."""
    rows = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
    shown = (
        "claim",
        "world",
        "verdict",
        "readings",
        "derived",
        "estimate",
        "interval",
        "p_adjusted",
        "n",
        "summary",
        "decided_by",
    )
    return [{key: row[key] for key in shown} for row in rows]


def verdict_table(verdicts: Path) -> str:
    """The verdicts as a plain table, read from the file that the report was written with."""
    if not json.loads(verdicts.read_text(encoding="utf-8"))["claims"]:
        return "This study names no claims."
    rows = read_verdicts(verdicts)
    titles = ("claim", "world", "verdict", "estimate", "interval", "adj. p", "n")
    cells = [
        (
            row["claim"],
            row["world"],
            row["verdict"],
            cell(row["estimate"]),
            interval(row["interval"]),
            cell(row["p_adjusted"]),
            str(row["n"]),
        )
        for row in rows
    ]
    return text_table(titles, cells, right=("estimate", "adj. p", "n"))


def interval(ends: Sequence[float | None] | None) -> str:
    """An interval of a table, "-" where there is none."""
    return "-" if ends is None else f"[{cell(ends[0])}, {cell(ends[1])}]"


def cell(value: float | None) -> str:
    """A number of a table, "-" where there is none."""
    return "-" if value is None else f"{value:.3g}"


@click.command(name="report")
@click.argument("runs", metavar="RUNS", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the report [default: RUNS]."
)
@click.option(
    "--fits",
    type=click.Choice(("models", "all", "none")),
    default="models",
    show_default=True,
    help="Worlds that the bandit is fitted to, in seconds per condition: language models, all, none.",
)
@click.option("--json", "as_json", is_flag=True, help="The verdicts as one JSON object on stdout.")
def command(runs: Path, out: Path | None, fits: Literal["models", "all", "none"], as_json: bool) -> int:
    """Test the claims on the records in RUNS (the folder of one study) and write report.html."""
    import analysis

    if not runs.is_dir():
        raise InputError(f"RUNS: must be the folder of a study's records, got {runs}")
    page = analysis.report(runs, out or runs, fits)
    verdicts = page.with_name(VERDICTS)
    if as_json:
        print_json(json.loads(verdicts.read_text(encoding="utf-8")))
    else:
        echo(verdict_table(verdicts))
        echo(f"report: {page}")
    return 0
