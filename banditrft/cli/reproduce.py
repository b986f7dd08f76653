"""`banditrft reproduce`: a preset simulated, run, analysed and reported."""

from pathlib import Path

import click

from banditrft.cli.common import announce, check_study, echo, find_study, preset_names, print_json
from banditrft.cli.report import VERDICTS, read_verdicts, verdict_table
from banditrft.cli.sweep import finished, summary
from banditrft.errors import InputError


@click.command(name="reproduce")
@click.option("--preset", default="quick", help="Which shipped study to run.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    help="Folder of all records.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes [default: all cores].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(preset: str, runs: Path, workers: int | None, as_json: bool) -> int:
    """Simulate, run, analyse and report. What was run before is found, not run again."""
    import analysis
    import llm_runs
    import sims

    if preset not in preset_names():
        raise InputError(f"--preset: must be one of {', '.join(preset_names())}, got {preset}")
    study = find_study(preset)
    check_study(study, here=True)
    root = announce(study, runs)
    typed = f"banditrft reproduce --preset {preset}"
    failed = False
    for kind, run in (("simulated", sims.run), ("language model", llm_runs.run)):
        outcome = finished(run, study, runs, workers=workers, command=typed)
        echo(f"{kind}: {summary(outcome, root)}", err=as_json)
        failed = failed or bool(outcome.failed)
    if failed:
        return 1
    page = analysis.report(root, root)
    if as_json:
        print_json({"report": str(page), "verdicts": read_verdicts(page.with_name(VERDICTS))})
    else:
        echo(verdict_table(page.with_name(VERDICTS)))
        echo(f"report: {page}")
    return 0
