"""`banditrft status STUDY`: which runs are there, in both kinds of world."""

from pathlib import Path
from typing import Literal

import click

from banditrft.catalog import read_queries, status
from banditrft.cli.common import echo, find_study, print_json, study_argument, text_table
from banditrft.runs import Run, expand, queries_key
from banditrft.worlds import LLMWorld


@click.command(name="status")
@study_argument
@click.option("--engine", type=click.Choice(["torch", "vllm"]), help="As given to `banditrft llm`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(study: str, runs: Path, engine: Literal["torch", "vllm"] | None, as_json: bool) -> int:
    """Say which runs of STUDY are there. Exit code 0 whether or not all are."""
    resolved = find_study(study)
    if engine is not None:
        import llm_runs

        resolved = llm_runs.with_engine(resolved, engine)
    root = runs / resolved.name
    queries = read_queries(root)
    waiting = [
        w.name
        for w in resolved.worlds("llm")
        if isinstance(w, LLMWorld)
        and (w.name not in queries or queries[w.name].key != queries_key(w, resolved.root_seed))
    ]
    known: list[Run] = expand(resolved, "sim")
    if not waiting:
        known += expand(resolved, "llm", queries)
    rows = []
    by_cell: dict[tuple[str, str], list[Run]] = {}
    for run in known:
        by_cell.setdefault((run.world.name, run.condition), []).append(run)
    for cell in resolved.cells:
        own = by_cell.get((cell.world.name, cell.condition), [])
        state = status(root, own)
        rows.append(
            {
                "world": cell.world.name,
                "condition": cell.condition,
                "runs": len(own) if own else None,
                "found": len(state.found),
                "stale": len(state.stale),
                "missing": len(state.missing) if own else None,
            }
        )
    if as_json:
        print_json({"study": resolved.name, "folder": str(root), "cells": rows})
        return 0
    counts = ("found", "stale", "missing")
    titles = ("world", "condition", *counts)
    cells = [["?" if row[name] is None else str(row[name]) for name in titles] for row in rows]
    echo(text_table(titles, cells, right=counts))
    if waiting:
        echo(f"queries of {', '.join(waiting)} are not chosen yet: banditrft llm {study}")
    return 0
