"""Whether a calibration still stands after its code was rewritten: old and new code answer the same data sets.

    PYTHONPATH=tests python -m calibration.carried OLD --sets 50 test_item_model_calibration ...

OLD is a checkout of the commit whose results are committed. The named calibration tests run there and here, in a
process each, with the first data sets of every case only; estimates, ends of intervals and outcomes are kept.
A method is carried over if in all of its cases every outcome is the same and no number differs by more than
the tolerance, relative to itself. Then its result gets the hash of the code as it is, and says what was compared.
A real run of the method drops that note.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from calibration import tracing
from calibration.collector import FILE, FOLDER, save
from calibration.fingerprint import ROOT, Sources

TOLERANCE = 1e-6
"""Largest relative difference of two numbers that count as the same."""
Trace = dict[str, Any]


def traced(root: Path, files: Sequence[str], sets: int) -> Trace:
    """What calibration tests of a checkout call and find, in a process of its own.

    Raises:
        CalledProcessError: A test failed or could not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "trace.json"
        command = [sys.executable, "-P", str(Path(tracing.__file__).resolve()), str(out), str(sets), *files]
        paths = os.pathsep.join([str(root), str(root / "tests")])
        subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": paths}, check=True)
        return dict(json.loads(out.read_text(encoding="utf-8")))


def difference(old: Sequence[tracing.Call], new: Sequence[tracing.Call]) -> float:
    """Largest relative difference of the answers to the same calls; infinite where an outcome differs."""
    if not old or [len(found) for _, found in old] != [len(found) for _, found in new]:
        return math.inf
    pairs = zip((x for _, found in old for x in found), (x for _, found in new for x in found), strict=True)
    return max((_apart(a, b) for a, b in pairs), default=math.inf)


def _apart(a: Any, b: Any) -> float:
    if a is None or b is None or isinstance(a, bool) or isinstance(b, bool):
        return 0.0 if a is b else math.inf
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    apart = abs(a - b) / max(abs(a), abs(b))
    return math.inf if math.isnan(apart) else apart


def _cases(rates: Sequence[dict[str, Any]]) -> set[tuple[str, int]]:
    """Cases and numbers of seeds, without the rates that some of them state."""
    stated = re.compile(r", no interval in .*|; by the quadratic alone .*")
    return {(stated.sub("", rate["case"]), rate["n"]) for rate in rates}


def compared(
    old: Trace, new: Trace, was: dict[str, Any], known: dict[str, Any]
) -> Iterator[tuple[str, float, str]]:
    """By method, the largest difference, and why its rates do not hold for the new code ("" if they may).

    Args:
        old: Trace of the code that was measured.
        new: Trace of the code as it is.
        was: Results that are committed with the old code.
        known: Results as they are.
    """
    for method in new["measures"]:
        rates, before = ([r for r in of["rates"] if r["method"] == method] for of in (new, old))
        tests = dict.fromkeys(rate["test"] for rate in rates)
        apart = max(difference(old["calls"].get(t, []), new["calls"].get(t, [])) for t in tests)
        if method not in known or was.get(method, {}).get("rates") != known[method]["rates"]:
            yield method, apart, "its rates are not those of the old code"
        elif _cases(rates) != _cases(known[method]["rates"]):
            yield method, apart, "its cases are others"
        elif apart == math.inf or rates != before:
            yield method, apart, "outcomes differ"
        else:
            yield method, apart, ""


def carry(
    old: Path, new: Path, files: Sequence[str], *, commit: str, sets: int, tolerance: float = TOLERANCE
) -> list[str]:
    """Carry over the methods of some calibration tests that give the same answers; a line for each method.

    Args:
        old: Checkout whose results were measured on its code.
        new: Checkout whose results are rewritten.
        files: Names of the tests' files, without ending.
        commit: Of the old checkout.
        sets: Data sets of each case.
        tolerance: Largest relative difference that counts as none.
    """
    traces = [traced(root, files, sets) for root in (old, new)]
    place = FOLDER.relative_to(ROOT)
    was, known = (json.loads((root / place / FILE).read_text(encoding="utf-8")) for root in (old, new))
    sources, lines = Sources(new, "analysis"), []
    for method, apart, refused in compared(*traces, was, known):
        measures = traces[1]["measures"][method]
        if method in known and known[method]["code"] == sources.fingerprint(measures):
            lines.append(f"{method}: is of the code as it is")
            continue
        refused = refused or (f"numbers differ by {apart:.1e}" if apart > tolerance else "")
        if not refused:
            result = known[method]
            first = result.get("carried", {}).get("from", result["code"])
            result |= {"measures": measures, "code": sources.fingerprint(measures)}
            about = {"from": first, "commit": commit, "sets": sets, "largest_difference": apart}
            known[method] = {**result, "carried": about}
        lines.append(f"{method}: " + (f"not carried, {refused}" if refused else f"carried, {apart:.1e}"))
    save(known, new / place)
    return lines


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m calibration.carried", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("old", type=Path, help="checkout of the commit that was measured")
    parser.add_argument("files", nargs="+", help="calibration tests, such as test_item_model_calibration")
    parser.add_argument("--sets", type=int, default=50, help="data sets of each case")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="largest relative difference")
    a = parser.parse_args()
    head = ["git", "-C", str(a.old), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    old = a.old.resolve()
    lines = carry(old, ROOT, a.files, commit=commit, sets=a.sets, tolerance=a.tolerance)
    sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
