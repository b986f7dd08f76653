"""`banditrft sim STUDY`: the simulated worlds."""

from pathlib import Path
from typing import Any

import click

from banditrft.cli.common import check_study, find_study, study_argument, sweep_options
from banditrft.cli.sweep import execute, look, looks
from banditrft.runs import expand


@click.command(name="sim")
@study_argument
@sweep_options
def command(study: str, runs: Path, **options: Any) -> int:
    """Run the simulated worlds of STUDY (a file or a preset); only what is missing."""
    resolved = find_study(study)
    check_study(resolved)
    if looks(options):
        return look(resolved, expand(resolved, "sim"), runs / resolved.name, options)
    import sims

    return execute(resolved, runs, sims.run, options, f"banditrft sim {study}")
