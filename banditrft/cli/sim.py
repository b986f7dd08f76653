"""`banditrft sim STUDY`: the simulated worlds; `--preset` judges the shipped ones."""

from pathlib import Path
from typing import Any

import click

from banditrft.cli.common import announce, check_study, find_study, sweep_options
from banditrft.cli.presets import run_presets, sim_presets
from banditrft.cli.sweep import execute, look, looks
from banditrft.errors import InputError
from banditrft.runs import expand


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
    if looks(options):
        return look(resolved, expand(resolved, "sim"), root, options)
    import sims

    return execute(resolved, runs, sims.run, options, f"banditrft sim {study}")
