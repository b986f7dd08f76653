"""`banditrft reproduce`: a preset through the whole house, to a report."""

from pathlib import Path

import click

from banditrft.cli.common import find_study, preset_names
from banditrft.cli.llm import STACK, llm_expand
from banditrft.cli.report import VERDICTS, verdict_table
from banditrft.cli.sweep import summary
from banditrft.errors import InputError
from banditrft.launch import launch
from banditrft.runs import expand


@click.command(name="reproduce")
@click.option("--preset", default="quick", help="Which shipped study to run.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of all records.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes [default: all cores].")
def command(preset: str, runs: Path, workers: int | None) -> int:
    """Simulate, run, analyse and report. What was run before is found, not run again."""
    import analysis
    import llm_runs
    import sims

    if preset not in preset_names():
        raise InputError(f"--preset: must be one of {', '.join(preset_names())}, got {preset}")
    study = find_study(preset)
    root = runs / study.name
    typed = f"banditrft reproduce --preset {preset}"
    outcomes = [
        launch(study, expand(study, "sim"), root, sims.execute, workers=workers, command=typed),
        launch(
            study,
            llm_expand(study, root, write=True),
            root,
            llm_runs.execute,
            reevaluate=llm_runs.evaluate_checkpoint,
            size=STACK,
            workers=workers,
            command=typed,
        ),
    ]
    for kind, outcome in zip(("simulated", "LLM"), outcomes, strict=True):
        click.echo(f"{kind}: {summary(outcome, root)}")
    if any(outcome.failed for outcome in outcomes):
        return 1
    page = analysis.report(root, root)
    click.echo(verdict_table(page.with_name(VERDICTS)))
    click.echo(f"report: {page}")
    return 0
