"""What `sim` and `llm` have in common: list, preview or launch the runs of one kind of world."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from banditrft.catalog import Status, status
from banditrft.cli.common import echo, print_json
from banditrft.launch import JobsError, Outcome, choose_executor, in_shard
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
        echo(f"{run_id}  {found:8}{label}")


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
        echo("\n".join(f"{key.replace('_', ' '):18} {number}" for key, number in value.items()))


def lists_only(options: dict[str, Any]) -> bool:
    """Whether the options ask to look only."""
    return bool(options["list_"] or options["missing"] or options["dry_run"])


def list_runs(study: Study, runs: Sequence[Run], root: Path, options: dict[str, Any]) -> int:
    """List or preview the runs of this shard, writing nothing."""
    mine = in_shard(runs, options["shard"])
    state = status(root, mine)
    if options["dry_run"]:
        preview(study, state, as_json=options["as_json"])
    else:
        listing(state, mine, only_missing=options["missing"], as_json=options["as_json"])
    return 0


def execute(
    study: Study, folder: Path, run: Callable[..., Outcome], options: dict[str, Any], typed: str
) -> int:
    """Run what is missing and say what was done; exit code 1 when a job failed."""
    executor = choose_executor(options["executor"], options["workers"], options["ray_address"])
    outcome = finished(run, study, folder, executor=executor, shard=options["shard"], command=typed)
    if options["as_json"]:
        print_json({"study": study.name, "runs": str(folder / study.name), **vars(outcome)})
    else:
        echo(summary(outcome, folder / study.name))
    return int(bool(outcome.failed))


def finished(run: Callable[..., Outcome], *args: Any, **options: Any) -> Outcome:
    """What a room's `run` did, failed jobs included."""
    try:
        return run(*args, **options)
    except JobsError as error:
        return error.outcome


def counted(number: int, thing: str) -> str:
    """A number of things in words."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def summary(outcome: Outcome, root: Path) -> str:
    """One line for people, and one per failure."""
    failed = len(outcome.failed)
    lines = [
        f"{counted(outcome.done, 'run')} done, {outcome.found} found, {counted(failed, 'job')} failed: {root}"
    ]
    return "\n".join(lines + [f"failed: {label}: {error}" for label, error in outcome.failed])
