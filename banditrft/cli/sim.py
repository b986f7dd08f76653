"""`banditrft sim STUDY`: the simulated worlds; `--preset` judges the shipped ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from banditrft.catalog import status
from banditrft.cli.common import (
    announce,
    check_study,
    echo,
    find_study,
    preset_names,
    print_json,
    sweep_options,
    text_table,
)
from banditrft.cli.report import VERDICTS, cell, interval, read_verdicts
from banditrft.cli.sweep import execute, finished, list_runs, lists_only, summary
from banditrft.errors import InputError
from banditrft.launch import Executor, choose_executor
from banditrft.runs import expand
from banditrft.study import Study

PREFIX = "sim-"
SMALL = 10_000_000
"""Rollouts of a study that are simulated sooner than two workers start, a few seconds of work."""


def sim_presets(name: str) -> list[Study]:
    """The shipped simulated studies of a name (with or without its prefix), or all of them.

    Raises:
        InputError: There is no such preset.
    """
    known = [n for n in preset_names() if n.startswith(PREFIX)]
    wanted = known if name == "all" else [n for n in known if n in (name, PREFIX + name)]
    if not wanted:
        raise InputError(f"--preset: must be all or one of {', '.join(known)}, got {name}")
    return [find_study(n) for n in wanted]


def run_presets(studies: Sequence[Study], runs: Path, options: dict[str, Any], typed: str) -> int:
    """Run, judge and report studies; what is there is found, not run again.

    Args:
        studies: Resolved studies.
        runs: Folder of all records.
        options: Options of the command line.
        typed: The command, for provenance.

    Returns:
        Exit code: 1 when a job failed.
    """
    for study in studies:
        check_study(study)
        announce(study, runs)
    if lists_only(options):
        return max(list_runs(s, expand(s, "sim"), runs / s.name, options) for s in studies)
    import analysis
    import sims

    rows: list[dict[str, Any]] = []
    failed = False
    for study in studies:
        root = runs / study.name
        executor = _executor(study, options)
        outcome = finished(sims.run, study, runs, executor=executor, shard=options["shard"], command=typed)
        echo(f"{study.name}: {summary(outcome, root)}", err=True)
        failed = failed or bool(outcome.failed)
        if status(root, expand(study, "sim")).missing:
            echo(f"{study.name}: not judged, runs are missing", err=True)
            continue
        page = analysis.report(root, root)
        rows += [_row(study, verdict, page) for verdict in read_verdicts(page.with_name(VERDICTS))]
    if options["as_json"]:
        print_json({"verdicts": rows})
    else:
        echo(_table(rows))
    return int(failed)


def _executor(study: Study, options: dict[str, Any]) -> Executor:
    """The executor asked for; a small study runs in this process, where no worker has to start first."""
    runs = expand(study, "sim")
    rollouts = sum(
        r.design.rounds
        * len(r.seeds)
        * r.design.batch_size
        * (r.design.rollouts + r.design.baseline_rollouts)
        for r in runs
    )
    small = options["executor"] == "local" and rollouts <= SMALL
    return choose_executor(options["executor"], 1 if small else options["workers"], options["ray_address"])


def _row(study: Study, verdict: dict[str, Any], page: Path) -> dict[str, Any]:
    expectation = study.expects(verdict["claim"], verdict["world"])
    expected = (
        None if verdict["derived"] else expectation
    )  # a verdict over all worlds is no evidence of its own
    agrees = None if expected is None else expected == verdict["verdict"]
    return {"study": study.name, **verdict, "expected": expected, "as_expected": agrees, "report": str(page)}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Verdicts beside what was expected; a disagreement is marked, not hidden."""
    titles = ("claim", "world", "verdict", "expected", "", "estimate", "interval", "adj. p", "n", "of")
    cells = []
    for row in rows:
        part = row["decided_by"]
        cells.append(
            (
                row["claim"],
                row["world"],
                row["verdict"],
                row["expected"] or "-",
                "<>" if row["as_expected"] is False else "",
                cell(part["estimate"]),
                interval(part["interval"]),
                cell(row["p_adjusted"]),
                str(part["n"] or 0),
                part["label"] or "-",
            )
        )
    agreed = sum(bool(row["as_expected"]) for row in rows)
    stated = sum(row["expected"] is not None for row in rows)
    table = text_table(titles, cells, right=("estimate", "adj. p", "n"))
    return f"{table}\n{agreed} of {stated} verdicts as expected; reports beside the records (report.html)"


@click.command(name="sim")
@click.argument("study", metavar="[STUDY]", required=False)
@click.option("--preset", metavar="NAME|all", help="Run, judge and report a shipped simulated study, or all.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    help="Folder of all records.",
)
@sweep_options
def command(study: str | None, preset: str | None, runs: Path, **options: Any) -> int:
    """Run the simulated worlds of STUDY (a file or a preset); only what is missing."""
    if (study is None) == (preset is None):
        raise InputError(f"STUDY, --preset: give one of them, got {study} and {preset}")
    if preset is not None:
        return run_presets(sim_presets(preset), runs, options, f"banditrft sim --preset {preset}")
    resolved = find_study(str(study))
    check_study(resolved)
    root = announce(resolved, runs)
    if lists_only(options):
        return list_runs(resolved, expand(resolved, "sim"), root, options)
    import sims

    return execute(resolved, runs, sims.run, options, f"banditrft sim {study}")
