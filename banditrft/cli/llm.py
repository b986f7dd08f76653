"""`banditrft llm STUDY`: the language-model worlds."""

from pathlib import Path
from typing import Any

import click

from banditrft.cli.common import check_study, find_study, study_argument, sweep_options
from banditrft.cli.sweep import execute, look, looks


@click.command(name="llm")
@study_argument
@sweep_options
def command(study: str, runs: Path, **options: Any) -> int:
    """Run the language-model worlds of STUDY (a file or a preset); only what is missing.

    The first time, training queries are chosen by base Pass@1 and kept in queries.json.
    """
    import llm_runs

    resolved = find_study(study)
    check_study(resolved)
    if looks(options):
        root = runs / resolved.name
        return look(resolved, llm_runs.expand_study(resolved, root, write=False), root, options)
    return execute(resolved, runs, llm_runs.run, options, f"banditrft llm {study}")
