"""`banditrft llm STUDY`: the language-model worlds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from banditrft.cli.common import (
    announce,
    check_study,
    echo,
    find_study,
    print_json,
    study_argument,
    sweep_options,
)
from banditrft.cli.sweep import counted, execute, list_runs, lists_only
from banditrft.errors import InputError, Problems
from banditrft.lint import lint
from banditrft.study import Study

if TYPE_CHECKING:
    from llm_runs.planning import CellPlan, WorldPlan

UNITS = ("B", "KB", "MB", "GB", "TB")
STEP = 1000


def show_plan(study: Study, worlds: list[WorldPlan], *, as_json: bool) -> None:
    """Print a plan."""
    value = as_object(study, worlds)
    if as_json:
        print_json(value)
    else:
        echo("\n".join(_lines(worlds, value)))


def as_object(study: Study, worlds: list[WorldPlan]) -> dict[str, Any]:
    """A plan as plain values; what is unknown is None."""
    from analysis.planning import attainable
    from llm_runs.planning import notes

    cells = [cell for world in worlds for cell in world.cells]
    floors = [cell.floor_s and cell.floor_s * cell.missing for cell in cells]
    peaks = [cell.memory.peak for cell in cells if cell.memory is not None]
    works = [(cell.missing, cell.work) for cell in cells if cell.work is not None]
    whole = len(works) == len(cells)
    unknown = [plan.world.name for plan in worlds if plan.unknown]
    return {
        "study": study.name,
        "found": sum(cell.found or 0 for cell in cells),
        "to_run": sum(cell.missing for cell in cells),
        "to_evaluate_again": sum(cell.stale or 0 for cell in cells),
        "rollouts": sum(n * work.rollouts for n, work in works) if whole else None,
        "evaluated": sum(n * work.evaluated for n, work in works) if whole else None,
        "tokens": sum(n * work.tokens for n, work in works) if whole else None,
        "job_bytes": max(peaks) if whole and peaks else None,
        "floor_s": sum(floor or 0.0 for floor in floors) if whole else None,
        "worlds": [_world(world) for world in worlds],
        "warnings": lint(study) + attainable.warnings(study) + notes(study, unknown),
    }


def _world(plan: WorldPlan) -> dict[str, Any]:
    return {
        "world": plan.world.name,
        "settings": plan.world.model_dump(mode="json", exclude_defaults=True, exclude={"name"}),
        "engine": plan.world.engine,
        "device": plan.device,
        "parameters": plan.parameters,
        "parameters_from": None if plan.parameters is None else "files" if plan.counted else "config.json",
        "unknown": plan.unknown or None,
        "queries_chosen": plan.chosen,
        "floor_assumes": plan.assumed,
        "conditions": [_cell(cell) for cell in plan.cells],
    }


def _cell(cell: CellPlan) -> dict[str, Any]:
    memory, work = cell.memory, cell.work
    return {
        "condition": cell.condition,
        "design": cell.design,
        "evaluation": cell.evaluation,
        "runs": cell.runs,
        "found": cell.found,
        "missing": cell.missing,
        "job_bytes": memory and memory.peak,
        "job_parts": memory
        and {**memory.held, "sampling": dict(memory.sampling), "learning": dict(memory.learning)},
        "run": work and {**vars(work), "floor_s": cell.floor_s},
    }


def _lines(worlds: list[WorldPlan], value: dict[str, Any]) -> list[str]:
    lines = []
    for plan, world in zip(worlds, value["worlds"], strict=True):
        lines += [f"{plan.world.name}: {_settings(world['settings'])}", f"  {_model(plan)}"]
        if plan.unknown:
            lines.append(f"  no estimates: {plan.unknown}")
        sampled = plan.world.train_items is None and plan.world.queries.file is None
        if sampled and not plan.chosen:
            lines.append(
                "  training queries are not chosen yet; the first launch samples the base model for them"
            )
        for cell in plan.cells:
            lines += [
                f"  {cell.condition}: {_settings(cell.design | cell.evaluation)}",
                f"    {_estimate(cell)}",
            ]
        if not plan.unknown:
            lines.append(f"  times are arithmetic floors of {plan.assumed}; responses of max_new tokens")
    lines += [f"warning: {warning}" for warning in value["warnings"]]
    unknown = value["tokens"] is None
    rest = (
        ""
        if unknown
        else (
            f"; {value['rollouts']:,} rollouts and {value['evaluated']:,} evaluation samples, at most "
            f"{value['tokens']:,} tokens; largest job {amount(value['job_bytes'] or 0)}; floor "
            f"{duration(value['floor_s'])}"
        )
    )
    again = f", {value['to_evaluate_again']} to evaluate again" if value["to_evaluate_again"] else ""
    return [
        *lines,
        f"{value['study']}: {counted(value['found'], 'run')} found, {value['to_run']} to run{again}{rest}",
    ]


def _model(plan: WorldPlan) -> str:
    counted = "" if plan.counted else " (from config.json)"
    size = "size unknown" if plan.parameters is None else f"{plan.parameters:,} parameters{counted}"
    return f"{plan.world.model}, {size}; engine {plan.world.engine}; on {plan.device}"


def _settings(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {_toml(value)}" for name, value in fields.items()) or "defaults"


def _toml(value: Any) -> str:
    """A value as a study file writes it."""
    if isinstance(value, dict):
        given = {name: item for name, item in value.items() if item is not None}
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in given.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _estimate(cell: CellPlan) -> str:
    state = counted(cell.runs, "run") + ("" if cell.found is None else f", {cell.found} found")
    if cell.memory is None or cell.work is None or cell.floor_s is None:
        return state
    run = f"run {cell.work.tokens:,} tokens, floor {duration(cell.floor_s)}"
    return f"{state}; job {amount(cell.memory.peak)}; {run}"


def amount(size: float) -> str:
    """Bytes for people."""
    for unit in UNITS[:-1]:
        if size < STEP:
            return f"{size:.3g} {unit}"
        size /= STEP
    return f"{size:.3g} {UNITS[-1]}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


@click.command(name="llm")
@study_argument
@click.option("--engine", type=click.Choice(["torch", "vllm"]), help="Sample with it in every world.")
@sweep_options
def command(study: str, runs: Path, engine: Literal["torch", "vllm"] | None, **options: Any) -> int:
    """Run the language-model worlds of STUDY (a file or a preset); only what is missing.

    The first time, training queries are chosen by base Pass@1 and kept in queries.json. Another engine makes
    other runs; give them a folder of their own (--runs) to keep both.
    """
    import llm_runs
    import sims

    resolved = llm_runs.with_engine(find_study(study), engine)
    root = runs / resolved.name
    if options["dry_run"]:
        if options["shard"] != (1, 1):
            raise InputError("--shard: --dry-run speaks of the whole study; leave one of them out")
        problems = Problems()
        problems.attempt(sims.check, resolved)
        plan = problems.attempt(llm_runs.plan, resolved, root)
        problems.settle()
        announce(resolved, runs)
        show_plan(resolved, plan or [], as_json=options["as_json"])
        return 0
    check_study(resolved, here=options["executor"] == "local" and not lists_only(options))
    announce(resolved, runs)
    if lists_only(options):
        return list_runs(resolved, llm_runs.expand_study(resolved, root, write=False), root, options)
    typed = f"banditrft llm {study}" + (f" --engine {engine}" if engine else "")
    return execute(resolved, runs, llm_runs.run, options, typed)
