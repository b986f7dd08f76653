"""Calibrations are carried over to rewritten code that gives the same answers, and to no other."""

import json
import math
import shutil
from pathlib import Path

import pytest
from calibration.carried import carry, difference
from calibration.collector import Calibration, save
from calibration.fingerprint import Sources

CODE = """
import numpy as np

def wald(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return values.mean() - 2 * error, values.mean() + 2 * error
"""
TEST = """
import numpy as np
import pytest
from analysis.intervals import wald

SETS = 2000

@pytest.mark.calibration
@pytest.mark.parametrize("n", [5, 8])
def test_wald(n, calibration_results):
    held, rng = 0, np.random.default_rng(n)
    for _ in range(SETS):
        low, high = wald(rng.standard_normal(n))
        held += low <= 0 <= high
    about = {"kind": "coverage", "case": f"normal, no interval in {n}%", "n": n, "nominal": 0.95, "exact": True}
    rate = calibration_results.add("Wald", measures=(wald,), rate=held / SETS, sets=SETS, **about)
    assert rate.rate >= 0.949
"""
REWRITTEN = CODE.replace("np.sqrt(len(values))", "len(values) ** 0.5").replace(
    "np.std(values, ddof=1)", "values.std(ddof=1)"
)
PLACE = Path("docs/results/calibration")
CALL = ("wald", [0.5, None, True, math.nan])


def checkout(root, code):
    """A small repository with one method, one calibration test and its results."""
    files = {
        "analysis/__init__.py": "",
        "analysis/intervals.py": code,
        "tests/calibration/test_wald.py": TEST,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for name in ("collector.py", "conftest.py", "fingerprint.py"):
        shutil.copy(Path(__file__).with_name(name), root / "tests" / "calibration")
    rates = [
        {"kind": "coverage", "case": "normal, no interval in 0.1%", "n": n, "nominal": 0.95, "rate": 0.95}
        | {"sets": 2000, "exact": True, "refused": None}
        for n in (5, 8)
    ]
    measures = ["analysis.intervals.wald"]
    code = Sources(root, "analysis").fingerprint(measures)
    (root / PLACE).mkdir(parents=True)
    known = {"Wald": {"measures": measures, "code": code, "rates": rates}}
    (root / PLACE / "calibration.json").write_text(json.dumps(known))
    return root


def carried(tmp_path, code):
    """What the results say of the method after its code was rewritten, the lines, and the hash before."""
    old, new = checkout(tmp_path / "old", CODE), checkout(tmp_path / "new", code)
    before = (old / PLACE / "calibration.json").read_text()
    (new / PLACE / "calibration.json").write_text(before)
    lines = carry(old, new, ["test_wald"], commit="abc", sets=20)
    return (
        json.loads((new / PLACE / "calibration.json").read_text())["Wald"],
        lines,
        json.loads(before)["Wald"],
    )


def test_the_same_answers_are_carried(tmp_path):
    now, lines, before = carried(tmp_path, REWRITTEN)
    apart = now["carried"].pop("largest_difference")
    assert now.pop("carried") == {"from": before["code"], "commit": "abc", "sets": 20}
    assert apart < 1e-14
    assert now.pop("code") == Sources(tmp_path / "new", "analysis").fingerprint(before["measures"])
    assert before.pop("code") != Sources(tmp_path / "new", "analysis").fingerprint(before["measures"])
    assert now == before
    assert lines == [f"Wald: carried, {apart:.1e}"]


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("2.00001 * error", "numbers differ"),
        ("1.5 * error", "outcomes differ"),
        ("0.0 * error", "outcomes differ"),
    ],
)
def test_other_answers_are_not_carried(tmp_path, new, why):
    now, lines, before = carried(tmp_path, REWRITTEN.replace("2 * error", new))
    assert now == before
    assert why in lines[0]


def test_the_page_marks_what_is_carried_until_it_is_measured_again(tmp_path):
    rate = {
        "kind": "coverage",
        "case": "normal",
        "n": 5,
        "nominal": 0.95,
        "rate": 0.95,
        "sets": 2000,
        "exact": True,
    }
    results = Calibration()
    results.add("Wald", measures=("analysis.fits.likelihood.wald",), **rate)
    results.write(tmp_path)
    measured = (tmp_path / "README.md").read_text()
    known = json.loads((tmp_path / "calibration.json").read_text())
    known["Wald"]["carried"] = {"from": "0", "commit": "abc", "sets": 20, "largest_difference": 2e-9}
    save(known, tmp_path)
    marked = (tmp_path / "README.md").read_text()
    assert "| Wald † | 5 |" in marked
    assert "| Wald | abc | 20 | 2e-09 |" in marked
    results.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == measured


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (CALL, 0.0),
        (("wald", [0.5 + 1e-9, None, True, math.nan]), 2e-9),
        (("wald", [0.5, None, False, math.nan]), math.inf),
        (("wald", [0.5, 0.1, True, math.nan]), math.inf),
        (("wald", [0.5, None, True, 0.0]), math.inf),
        (("wald", [0.5, None, True]), math.inf),
    ],
)
def test_outcomes_must_agree_and_numbers_are_compared(other, apart):
    assert difference([CALL], [other]) == pytest.approx(apart, rel=1e-3)


def test_no_calls_are_no_agreement():
    assert difference([], []) == math.inf
    assert difference([CALL], [CALL, CALL]) == math.inf
