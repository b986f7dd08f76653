"""What several commands share: finding a study, resolving its runs, printing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click

from banditrft.errors import InputError, Problems
from banditrft.launch import EXECUTORS
from banditrft.names import visible
from banditrft.study import Study, load_study, parse_study

F = TypeVar("F", bound=Callable[..., Any])


def _shard(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, int]:
    """``i/n``: the i-th of n parts, from 1."""
    index, _, count = value.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise InputError(f"--shard: must be i/n with 1 <= i <= n, got {value}")
    return int(index), int(count)


def preset_names() -> list[str]:
    """Names of the shipped study files."""
    folder = files("banditrft") / "presets"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """The study file of a shipped preset."""
    return (files("banditrft") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def find_study(name: str) -> Study:
    """A study from a file, or a shipped preset by name.

    Raises:
        InputError: It is neither, or the file describes no runnable study.
    """
    if name in preset_names():
        return replace(parse_study(preset_text(name), f"preset {name}"), source=f"preset {name}")
    if not Path(name).exists():
        raise InputError(f"STUDY: must be a file or a preset ({', '.join(preset_names())}), got {name}")
    return load_study(Path(name))


def other_name(study: Study) -> str | None:
    """A note where the records of a study file go into a folder of another name."""
    stem = study.source.removesuffix(".toml")
    if study.source.startswith("preset ") or stem in ("", study.name):
        return None
    return f"name: the study in {study.source} is called {study.name!r}, and so is its folder of records"


def announce(study: Study, runs: Path) -> Path:
    """The study's folder, once it is known to be no other study's; a name that surprises is said.

    Raises:
        InputError: It is another study's.
    """
    from banditrft.catalog import refuse_other

    root = runs / study.name
    refuse_other(root, study)
    if note := other_name(study):
        echo(f"note: {note}: {root}", err=True)
    return root


def check_study(study: Study, *, here: bool = False) -> None:
    """Let the rooms that a study needs refuse what they cannot run, before anything is spent.

    Args:
        study: A resolved study.
        here: Whether this machine runs its language-model worlds.

    Raises:
        InputError: Names every field that is wrong.
    """
    import llm_runs
    import sims

    problems = Problems()
    problems.attempt(partial(llm_runs.check, here=here), study)
    problems.attempt(sims.check, study)
    problems.settle()


def study_argument(function: F) -> F:
    """``STUDY`` and ``--runs``."""
    function = click.argument("study", metavar="STUDY")(function)
    return click.option(
        "--runs",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        help="Folder of all records.",
    )(function)


def sweep_options(function: F) -> F:
    """Options of the commands that execute runs."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
        click.option("--shard", metavar="I/N", default="1/1", callback=_shard, help="Run only part i of n."),
        click.option("--ray-address", help="Ray cluster to join [default: RAY_ADDRESS, else a local one]."),
        click.option("--executor", type=click.Choice(EXECUTORS), default="local", help="Where runs execute."),
        click.option("--workers", type=click.IntRange(min=1), help="Most jobs at once [default: all cores]."),
        click.option("--dry-run", is_flag=True, help="Say what would run; write nothing."),
        click.option("--missing", is_flag=True, help="List the runs that are not there."),
        click.option("--list", "list_", is_flag=True, help="List all runs."),
    ):
        function = option(function)
    return function


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """A line on the terminal, on which no text of a user's files can act."""
    click.echo(visible(text), err=err, nl=nl)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))


def text_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Rows under their titles, two spaces between columns, none at the end of a line.

    Args:
        titles: One per column.
        rows: Cells, as many as titles each.
        right: Titles of the columns that are flush right.
    """
    wide = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        put = [
            text.rjust(width) if title in right else text.ljust(width)
            for title, width, text in zip(titles, wide, cells, strict=True)
        ]
        return "  ".join(put).rstrip()

    return "\n".join([line(titles), *map(line, rows)])
