"""`banditrft lint STUDY`: errors and degenerate settings, explained."""

from functools import partial

import click

from banditrft.cli.common import echo, find_study, other_name, print_json
from banditrft.errors import Problems


@click.command(name="lint")
@click.argument("study", metavar="STUDY")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(study: str, as_json: bool) -> int:
    """Check STUDY. An error ends with exit code 2; warnings explain what would be wasted."""
    import sims
    from analysis.planning import attainable
    from banditrft.lint import lint
    from llm_runs import planning

    resolved = find_study(study)
    away = planning.unseen(resolved)
    problems = Problems()
    problems.attempt(partial(planning.check, unseen=away), resolved)
    problems.attempt(sims.check, resolved)
    problems.settle()
    note = other_name(resolved)
    warnings = [note] if note else []
    warnings += [f"{world}: not looked at: {reason}" for world, reason in away.items()]
    warnings += planning.notes(resolved, away) + lint(resolved) + attainable.warnings(resolved)
    if as_json:
        print_json({"study": resolved.name, "warnings": warnings})
        return 0
    for warning in warnings:
        echo(f"warning: {warning}")
    plural = "" if len(warnings) == 1 else "s"
    echo(f"{resolved.name}: {len(resolved.cells)} cells, {len(warnings)} warning{plural}")
    return 0
