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

FOUND = ("present", "cannot tell", "absent")
MOST_NAMED = 4
"""Conditions that are named where one reason holds for several."""


@click.command(name="diagnose")
@click.argument("source", metavar="RECORDS|FILE", type=click.Path(path_type=Path))
@click.option("--signature", "signatures", multiple=True, help="Test for this one only; may be given again.")
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
    """Test for the papers' failure signatures in the records of a study, or in a table of success counts.

    Each is present, absent, or not decided; what is present comes first, with how far every estimate lies
    from its threshold. All tests of one call are corrected together (Holm).
    """
    from analysis.diagnosis import diagnose

    with tempfile.TemporaryDirectory() as folder:
        signs = diagnose(_records(source, rollouts, Path(folder)), signatures, unit=unit)
    if as_json:
        family = max((sign.evidence.get("tests", 0) for sign in signs), default=0)
        correction = f"Holm over {family} tests" if family > 1 else "none: one test" if family else "none"
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
    """What was found, ranked; checks that no test could be made for as one line per reason, and notes."""
    tested = [s for s in signs if "p_adjusted" in s.evidence]
    lines = [f"{n} {word}" for word in FOUND if (n := sum(s.found == word for s in tested))]
    out = [", ".join(lines) if lines else "Nothing could be tested."]
    for sign in tested:
        out += ["", f"{sign.found}: {sign.signature}, {_where(sign)}", *_indented(sign.sentence)]
    for title, found in (("No test", "cannot tell"), ("Notes", "note")):
        reasons: dict[str, list[str]] = {}
        for sign in (s for s in signs if s.found == found and s not in tested):
            reasons.setdefault(f"{sign.signature}: {sign.sentence}", []).append(_where(sign))
        out += ["", title] if reasons else []
        for said, places in reasons.items():
            out += _indented(f"{said} {_places(places)}")
    return "\n".join(out)


def _where(sign: "Sign") -> str:
    return f"{sign.world}: {sign.condition}"


def _places(names: list[str]) -> str:
    return f"({', '.join(names)})" if len(names) <= MOST_NAMED else f"({len(names)} conditions)"


def _indented(said: str) -> list[str]:
    return textwrap.wrap(said, 100, initial_indent="  ", subsequent_indent="    ")
