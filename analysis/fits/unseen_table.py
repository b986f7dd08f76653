"""The fit-here-predict-there table of a study as Markdown and JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.fits.bandit_data import Geometry
from analysis.fits.unseen import NAMES, PredictedQuantity, UnseenConditions, predict_unseen
from analysis.loading.records import load
from banditrft.errors import InputError
from banditrft.files import write_bytes
from banditrft.worlds import LLMWorld

GEOMETRIES: tuple[Geometry, ...] = ("shared", "arms")
MOVES: dict[str | None, str] = {
    None: "",
    "shared": ", one direction that all responses share",
    "arms": ", parameters of each response",
}
DIGITS = {"rounds": 1, "seed_sd": 1}


def tests_of(path: Path | str) -> tuple[list[UnseenConditions], dict[str, str]]:
    """Transfer tests of all worlds of a study, of language models for both ways to move.

    Worlds without one come second, with the reason.

    Args:
        path: The study's folder of records.

    Raises:
        RecordError: The records cannot be trusted; names the file.
    """
    records = load(path)
    found, left_out = [], {}
    for world, settings in records.worlds.items():
        try:
            for geometry in GEOMETRIES if isinstance(settings, LLMWorld) else GEOMETRIES[:1]:
                found.append(predict_unseen(records, world, geometry=geometry))
        except InputError as error:
            left_out[world] = str(error)
    return found, left_out


def markdown(tests: Sequence[UnseenConditions]) -> str:
    """One section per fitted world: the sentence, the rows, what was not predicted."""
    parts = []
    for test in tests:
        parts += [f"## {test.world}{MOVES[test.geometry]}", "", test.sentence, ""]
        if test.rows:
            parts += [
                "| condition | quantity | predicted (95%) | observed | fitted condition's own | z | inside |",
                "|---|---|---|---|---|---|---|",
                *(_line(row, test.world) for row in test.rows),
                "",
            ]
        outside = [_name(c.world, c.condition, test.world) for c in test.curves if not c.inside]
        if test.curves:
            said = f"all but {', '.join(outside)}" if outside else "all"
            parts += [f"Mean curves inside their simultaneous band: {said}.", ""]
        parts += [f"- Not predicted, {name}: {reason}." for name, reason in test.left_out.items()]
        parts += [""] if test.left_out else []
    return "\n".join(parts)


def write(records: Path | str, folder: Path | str) -> None:
    """Write `table.md` and `transfer.json` of a study.

    Args:
        records: The study's folder of records.
        folder: Where the two files go.

    Raises:
        RecordError: The records cannot be trusted; names the file.
    """
    tests, left_out = tests_of(records)
    to = Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    values = _rounded({"worlds": [asdict(test) for test in tests], "left_out": left_out})
    write_bytes(to / "table.md", f"{markdown(tests).rstrip()}\n".encode())
    write_bytes(to / "transfer.json", f"{json.dumps(values, indent=1)}\n".encode())


def _rounded(value: Any) -> Any:
    """Plain values with numbers of six significant digits."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _line(row: PredictedQuantity, world: str) -> str:
    digits = DIGITS.get(row.quantity, 3)

    def shown(value: float | None, places: int = digits) -> str:
        return "-" if value is None else f"{value:.{places}f}"

    interval = f"{shown(row.predicted)} ({shown(row.low)} to {shown(row.high)})"
    cells = (
        _name(row.world, row.condition, world),
        NAMES[row.quantity],
        interval,
        shown(row.observed),
        shown(row.unchanged),
        shown(row.z, 1),
        "yes" if row.inside else "**no**",
    )
    return f"| {' | '.join(cells)} |"


def _name(world: str, condition: str, fitted: str) -> str:
    return condition if world == fitted else f"{world}: {condition}"
