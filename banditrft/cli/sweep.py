"""What `sim` and `llm` have in common: list, preview or launch the runs of one kind of world."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from banditrft.catalog import Status, status
from banditrft.cli.common import print_json
from banditrft.launch import Execute, Outcome, Reevaluate, in_shard, launch
from banditrft.runs import Run
from banditrft.study import Study


def listing(state: Status, runs: Sequence[Run], *, only_missing: bool, as_json: bool) -> None:
    """Print runs, one a line, with what is there of each."""
    have = {r.run_id: "found" for r in state.found} | {r.run_id: "stale" for r in state.stale}
    rows = [(r.run_id, have.get(r.run_id, "missing"), r.label()) for r in runs]
    rows = [row for row in rows if not only_missing or row[1] != "found"]
    if as_json:
        print_json({"runs": [{"run_id": i, "state": s, "label": label} for i, s, label in rows]})
        return
    for run_id, found, label in rows:
        click.echo(f"{run_id}  {found:8}{label}")


def preview(study: Study, state: Status, *, as_json: bool) -> None:
    """Print what a launch would do."""
    value = {
        "study": study.name,
        "found": len(state.found),
        "to_run": len(state.missing),
        "to_evaluate_again": len(state.stale),
        "rounds": sum(r.design.rounds * len(r.seeds) for r in state.missing),
        "rollouts": sum(r.design.rounds * r.design.rollouts * len(r.seeds) for r in state.missing),
    }
    if as_json:
        print_json(value)
    else:
        click.echo("\n".join(f"{key.replace('_', ' '):18} {number}" for key, number in value.items()))


def sweep(
    study: Study,
    runs: Sequence[Run],
    root: Path,
    execute: Execute,
    options: dict[str, Any],
    *,
    reevaluate: Reevaluate | None = None,
    size: int = 1,
    command: str = "",
) -> Outcome | None:
    """List, preview or launch, as the command's options say; None when nothing was launched."""
    mine = in_shard(runs, options["shard"])
    if options["list_"] or options["missing"]:
        listing(status(root, mine), mine, only_missing=options["missing"], as_json=options["as_json"])
        return None
    if options["dry_run"]:
        preview(study, status(root, mine), as_json=options["as_json"])
        return None
    outcome = launch(
        study,
        runs,
        root,
        execute,
        reevaluate=reevaluate,
        size=size,
        workers=options["workers"],
        shard=options["shard"],
        command=command,
    )
    if options["as_json"]:
        print_json({"study": study.name, "runs": str(root), **vars(outcome)})
    else:
        click.echo(summary(outcome, root))
    return outcome


def summary(outcome: Outcome, root: Path) -> str:
    """One line for people, and one per failure."""
    lines = [f"{outcome.done} runs done, {outcome.found} found, {len(outcome.failed)} jobs failed: {root}"]
    return "\n".join(lines + [f"failed: {label}: {error}" for label, error in outcome.failed])
