"""`banditrft lint STUDY`: errors and degenerate settings, explained."""

import click

from banditrft.cli.common import find_study, print_json


@click.command(name="lint")
@click.argument("study", metavar="STUDY")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(study: str, as_json: bool) -> int:
    """Check STUDY. An error ends with exit code 2; warnings explain what would be wasted."""
    import sims
    from banditrft.lint import lint
    from llm_runs.planning import checks, plan

    resolved = find_study(study)
    away = plan.unseen(resolved)
    checks.check(resolved, unseen=away)
    sims.check(resolved)
    warnings = [f"{world}: not looked at: {reason}" for world, reason in away.items()]
    warnings += checks.missing_here(resolved) + lint(resolved)
    if as_json:
        print_json({"study": resolved.name, "warnings": warnings})
        return 0
    for warning in warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"{resolved.name}: {len(resolved.cells)} cells, {len(warnings)} warnings")
    return 0
