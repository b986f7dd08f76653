"""`banditrft sim STUDY`: the simulated worlds."""

from pathlib import Path
from typing import Any

import click

from banditrft.cli.common import find_study, study_argument, sweep_options
from banditrft.cli.sweep import sweep
from banditrft.runs import expand


@click.command(name="sim")
@study_argument
@sweep_options
def command(study: str, runs: Path, **options: Any) -> int:
    """Run the simulated worlds of STUDY (a file or a preset); only what is missing."""
    import sims

    resolved = find_study(study)
    outcome = sweep(
        resolved,
        expand(resolved, "sim"),
        runs / resolved.name,
        sims.execute,
        options,
        command=f"banditrft sim {study}",
    )
    return int(bool(outcome and outcome.failed))
