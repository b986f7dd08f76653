"""`banditrft llm STUDY`: the language-model worlds."""

from pathlib import Path
from typing import Any

import click

from banditrft.catalog import read_queries, write_queries
from banditrft.cli.common import find_study, study_argument, sweep_options
from banditrft.cli.sweep import sweep
from banditrft.runs import Run, WorldQueries, expand, queries_key
from banditrft.study import Study
from banditrft.worlds import LLMWorld

STACK = 8
"""Replicas trained as one tensor program; it changes no number."""


def resolve(study: Study, root: Path, *, write: bool) -> dict[str, WorldQueries]:
    """Queries of every language-model world: kept ones where the settings are the same, else new ones.

    Args:
        study: The resolved study.
        root: The study's folder.
        write: Whether to keep new ones.
    """
    import llm_runs

    known = read_queries(root)
    worlds = [w for w in study.worlds("llm") if isinstance(w, LLMWorld)]
    for world in worlds:
        llm_runs.check_model(world.model)
    resolved = dict(known)
    for world in worlds:
        kept = known.get(world.name)
        if kept is None or kept.key != queries_key(world, study.root_seed):
            click.echo(f"{world.name}: choosing training queries by base Pass@1", err=True)
            resolved[world.name] = llm_runs.resolve_queries(world, study.root_seed)
    if write and resolved != known:
        write_queries(root, resolved)
    return resolved


def llm_expand(study: Study, root: Path, *, write: bool) -> list[Run]:
    """Runs of the language-model worlds; none when the study has no such world."""
    if not study.worlds("llm"):
        return []
    return expand(study, "llm", resolve(study, root, write=write))


@click.command(name="llm")
@study_argument
@sweep_options
def command(study: str, runs: Path, **options: Any) -> int:
    """Run the language-model worlds of STUDY (a file or a preset); only what is missing."""
    import llm_runs

    resolved = find_study(study)
    root = runs / resolved.name
    looking = options["list_"] or options["missing"] or options["dry_run"]
    outcome = sweep(
        resolved,
        llm_expand(resolved, root, write=not looking),
        root,
        llm_runs.execute,
        options,
        reevaluate=llm_runs.evaluate_checkpoint,
        size=STACK,
        command=f"banditrft llm {study}",
    )
    return int(bool(outcome and outcome.failed))
