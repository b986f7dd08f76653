"""What the calibration runs measured: one `Rate` per method, case and number of seeds, kept with a code hash.

`docs/results/calibration/calibration.json` is written by `make calibration`. Each method names what it measures,
functions and classes of `analysis`; a test compares the hash of their code (`calibration.fingerprint`) with the code
as it is. A run of some methods replaces theirs and keeps the others'. A method that is "carried" was measured on
earlier code that gives the same answers (`calibration.carried`).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from calibration.fingerprint import ROOT, analysis

FOLDER = ROOT / "docs" / "results" / "calibration"
FILE = "calibration.json"
CARRIED = "†"
"""Mark of a method whose rates were measured on earlier code."""
KINDS = {
    "coverage": "Coverage of intervals",
    "error": "Error rates of tests at the border of their hypothesis",
    "power": "Power, measured against the figure of `analysis.planning.power`",
}


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Attributes:
        kind: "coverage" (the interval held the truth), "error" (a true hypothesis was rejected) or "power".
        case: What the data were, in a few words.
        n: Seeds or pairs per data set.
        nominal: Rate that the method promises; for power, the rate that was computed beforehand.
        rate: Rate that was found.
        sets: Data sets; None where the rate is a sum over all outcomes, without Monte Carlo error.
        exact: Whether the method promises the nominal rate for every n.
        refused: Why the method gives no interval for this case; the rate is then what it would have had.
    """

    kind: str
    case: str
    n: int
    nominal: float
    rate: float
    sets: int | None
    exact: bool
    refused: str | None = None

    @property
    def error(self) -> float:
        """Monte Carlo standard error of the rate under its nominal value."""
        return float(np.sqrt(self.nominal * (1 - self.nominal) / self.sets)) if self.sets else 0.0


class Calibration:
    """Collects rates by method while tests run."""

    def __init__(self) -> None:
        self.rates: dict[str, list[Rate]] = {}
        self.measures: dict[str, list[str]] = {}

    def add(
        self,
        method: str,
        *,
        measures: tuple[Callable[..., Any] | str, ...],
        kind: str,
        case: str,
        n: int,
        nominal: float,
        rate: float,
        sets: int | None,
        exact: bool,
        refused: str | None = None,
    ) -> Rate:
        """Keep one rate; `measures` are the functions, classes and (by dotted name) constants of the method."""
        if kind not in KINDS:
            raise ValueError(f"kind: must be one of {list(KINDS)}, got {kind}")
        found = Rate(kind, case, n, nominal, float(rate), sets, exact, refused)
        self.rates.setdefault(method, []).append(found)
        self.measures[method] = [
            of if isinstance(of, str) else f"{of.__module__}.{of.__name__}" for of in measures
        ]
        return found

    def write(self, folder: Path) -> None:
        """Write the methods that were run, keep the others that are there, and write the page."""
        path = folder / FILE
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for method, rates in self.rates.items():
            measures = self.measures[method]
            known[method] = {
                "measures": measures,
                "code": analysis().fingerprint(measures),
                "rates": [asdict(r) for r in rates],
            }
        save(known, folder)


def save(known: dict[str, dict], folder: Path) -> None:
    """Write results, sorted by method, and the page that shows them."""
    known = {name: known[name] for name in sorted(known)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page(known), encoding="utf-8")


def page(known: dict[str, dict]) -> str:
    """The rates as tables, a row per method and number of seeds: the worst case and the mean over cases."""
    blocks = [
        "# Calibration",
        "Rates on simulated truth, written by `make calibration` (`pytest -m calibration "
        "tests/calibration`); the same figures case by case, with the hash of the code they belong to, are in "
        f"`{FILE}`. `tests/calibration/test_calibration_is_current.py` fails when the code has changed since. "
        "MC error is one standard error of the worst rate; a rate without data sets is a sum over all "
        "outcomes. `refused` marks what a method does not give, with the rate it would have had.",
    ]
    for kind, title in KINDS.items():
        rows = [
            row for name, found in known.items() for row in _rows(_marked(name, found), found["rates"], kind)
        ]
        if rows:
            worst = {"coverage": "lowest", "error": "highest", "power": "furthest"}[kind]
            header = ("method", "n", "cases", "data sets each", "nominal", worst, "mean", "MC error", "")
            blocks += [f"## {title}", _table(header, rows)]
    if carried := {name: found["carried"] for name, found in known.items() if "carried" in found}:
        header = ("method", "commit", "data sets of each case", "largest relative difference")
        rows = [
            (name, of["commit"], str(of["sets"]), f"{of['largest_difference']:.1g}")
            for name, of in carried.items()
        ]
        blocks += [
            f"## {CARRIED} Measured on earlier code",
            "These methods were measured on the code of an earlier commit, which has been rewritten since. Both codes "
            "were given the first data sets of every case. Every interval and test came out the same, and no "
            "number differed by more than the last column says.",
            _table(header, rows),
        ]
    return "\n\n".join(blocks) + "\n"


def _marked(name: str, found: dict) -> str:
    return f"{name} {CARRIED}" if "carried" in found else name


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows(name: str, values: list[dict], kind: str) -> list[tuple[str, ...]]:
    """A row for each number of seeds, and for what is exact, approximate or refused there."""
    rates = [Rate(**v) for v in values if v["kind"] == kind]
    groups = {}
    for r in rates:
        nominal = r.nominal if kind != "power" else None
        groups.setdefault((r.n, not r.exact, r.refused or "", nominal), []).append(r)
    return [_row(name, groups[key], kind) for key in sorted(groups, key=lambda k: k[:3])]


def _row(name: str, rates: list[Rate], kind: str) -> tuple[str, ...]:
    worst = {
        "coverage": lambda: min(rates, key=lambda r: r.rate),
        "error": lambda: max(rates, key=lambda r: r.rate),
        "power": lambda: max(rates, key=lambda r: abs(r.rate - r.nominal)),
    }[kind]()
    sets = sorted({r.sets for r in rates if r.sets})
    status = "exact" if worst.exact else "approximate"
    return (
        name,
        str(worst.n),
        str(len(rates)),
        " to ".join(f"{s:,}" for s in dict.fromkeys([sets[0], sets[-1]])) if sets else "all outcomes",
        f"{worst.nominal:.3g}",
        f"{worst.rate:.3f}",
        f"{np.mean([r.rate for r in rates]):.3f}",
        f"{worst.error:.3f}",
        f"refused: {worst.refused}" if worst.refused else status,
    )
