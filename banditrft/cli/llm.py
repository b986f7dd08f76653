"""`banditrft llm STUDY`: the language-model worlds."""

from pathlib import Path
from typing import Any, Literal

import click

from banditrft.cli.common import announce, check_study, find_study, study_argument, sweep_options
from banditrft.cli.plan import show_plan
from banditrft.cli.sweep import execute, look, looks
from banditrft.errors import InputError, Problems


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
    check_study(resolved, here=options["executor"] == "local" and not looks(options))
    announce(resolved, runs)
    if looks(options):
        return look(resolved, llm_runs.expand_study(resolved, root, write=False), root, options)
    typed = f"banditrft llm {study}" + (f" --engine {engine}" if engine else "")
    return execute(resolved, runs, llm_runs.run, options, typed)
