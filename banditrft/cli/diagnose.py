"""`banditrft diagnose RECORDS|FILE`: known failure signatures, and on what evidence."""

import tempfile
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from banditrft.cli.common import echo, print_json
from banditrft.errors import InputError

if TYPE_CHECKING:
    from analysis.diagnosis import Sign
    from analysis.loading.records import Records


@click.command(name="diagnose")
@click.argument("source", metavar="RECORDS|FILE", type=click.Path(path_type=Path))
@click.option("--signature", "signatures", multiple=True, help="Look for this one only; may be given again.")
@click.option(
    "--unit",
    type=click.Choice(["runs", "items"]),
    default="runs",
    help="What replicates: runs, or the items of a single run.",
)
@click.option(
    "--rollouts", type=int, help="Rollouts behind each fraction of a JSON file {item: [fraction, ...]}."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(source: Path, signatures: tuple[str, ...], unit: Any, rollouts: int | None, as_json: bool) -> int:
    """Look for the papers' failure signatures in the records of a study, or in a table of success counts.

    Each is present, absent, or cannot be told; all looks of one call are corrected together (Holm).
    """
    from analysis.diagnosis import diagnose

    with tempfile.TemporaryDirectory() as folder:
        signs = diagnose(_records(source, rollouts, Path(folder)), signatures, unit=unit)
    if as_json:
        tested = [sign for sign in signs if "looks" in sign.evidence]
        family = tested[0].evidence["looks"] if tested else 0
        correction = (
            f"Holm over {family} looks" if family > 1 else "none: a single look" if family else "none"
        )
        print_json({"unit": unit, "correction": correction, "signs": [asdict(sign) for sign in signs]})
    else:
        echo(_text(signs))
    return 0


def _records(source: Path, rollouts: int | None, folder: Path) -> "Records":
    import analysis
    from analysis import importing

    if not source.exists():
        raise InputError(
            f"RECORDS: must be the folder of a study's records or a table of counts, got {source}"
        )
    if source.is_dir():
        return analysis.load(source)
    found = importing.read_table([source], importing.Options(rollouts=rollouts))
    return analysis.load(importing.write(found, folder, "counts"))


def _text(signs: "list[Sign]") -> str:
    lines: list[str] = []
    for world in dict.fromkeys(sign.world for sign in signs):
        lines.append(world)
        own = [sign for sign in signs if sign.world == world]
        for condition in dict.fromkeys(sign.condition for sign in own):
            lines.append(f"  {condition}")
            for sign in (s for s in own if s.condition == condition):
                said = f"{sign.found:13}{sign.signature}. {sign.sentence}"
                lines.append(textwrap.fill(said, 100, initial_indent="    ", subsequent_indent=" " * 17))
    return "\n".join(lines)
