"""`banditrft diagram`: phase diagrams of the simulated world, as figures with their data."""

from pathlib import Path

import click

from banditrft.cli.common import echo, print_json


@click.command(name="diagram")
@click.argument("name", metavar="NAME|all")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("docs/results/sim"),
    help="Folder of the figures.",
)
@click.option("--seeds", type=int, help="Replicates per cell [default: the diagram's own].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(name: str, out: Path, seeds: int | None, as_json: bool) -> int:
    """Compute a phase diagram and write NAME.svg, NAME.csv, NAME.md and the index README.md.

    Without --seeds and with the same versions the files come out the same, byte for byte.
    """
    from sims.diagrams import NAMES
    from sims.diagrams.publish import publish

    written: list[Path] = []
    for one in NAMES if name == "all" else (name,):
        written += publish(one, out, seeds)
        if not as_json:
            echo(f"{one}: {', '.join(str(path) for path in written[-4:-1])}")
    if as_json:
        print_json({"written": [str(path) for path in dict.fromkeys(written)]})
    return 0
