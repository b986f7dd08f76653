"""What four reports say of themselves: own claims only, one claim, imported logs, three runs a condition.

The golden texts are the visible lines of the page, the claims' own words in brackets; they were read, and the
pages looked at, when they were committed. `make_report_goldens.py` writes them again.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support import reports

import analysis
from analysis.estimands import FORMATS
from analysis.reporting.figures.curves import Axes, styles

pytestmark = pytest.mark.slow(25)

GOLDEN = Path(__file__).parent / "reports"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root, found = tmp_path_factory.mktemp("reports"), {}
    for name in reports.NAMES:
        page = analysis.report(getattr(reports, name)(root / "runs"), root / name, fits="none")
        found[name] = page, json.loads(page.with_name("verdicts.json").read_text())
    return found


@pytest.mark.parametrize("name", reports.NAMES)
def test_a_report_says_what_was_read_when_it_was_committed(written, name):
    said = reports.own_words(*written[name])
    assert said == (GOLDEN / f"{name}.txt").read_text(), "if it is meant: tests/golden/make_report_goldens.py"


def test_one_claim_takes_few_words_and_nothing_says_a_private_one(written):
    words = [word for line in reports.visible(written["one"][0]) for word in line.split()]
    assert len(words) < 1700
    for page, _ in written.values():
        own = " ".join(reports.visible(page))
        assert re.findall(r"\b(foretold|foretell|heard|beside|told)\b", own) == []


def texts(page, document, section):
    """The words in the figures of a section."""
    files = [f["file"] for f in document["figures"] if f["section"] == section]
    drawn = "".join((page.parent / "figures" / f"{file}.svg").read_text() for file in files)
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def test_the_threshold_drawn_is_the_claim_s(written):
    own, one = (texts(*written[name], "curves") for name in ("own", "one"))
    assert {"0.7", "0.8"} <= set(own)
    assert "0.9" in one
    assert not {"0.9", "0.95"} & set(own)
    assert "0.95" not in one


def test_the_closed_form_of_an_own_claim_is_that_of_its_threshold(written):
    _, document = written["own"]
    sooner, slower = (document["predictions"][f"{name}:lumped:faster"] for name in ("sooner", "slower"))
    assert sooner["low"] != pytest.approx(1 / slower["low"], rel=1e-3)


def test_times_are_labelled_by_the_names_of_conditions(written):
    page, document = written["own"]
    assert texts(page, document, "times").count("G=4") == texts(page, document, "times").count("G=1") > 1
    assert "few rollouts" not in page.read_text()


def test_an_own_claim_is_refuted_against_the_study_and_has_no_horizon_of_the_papers(written):
    page, document = written["own"]
    assert [d["kind"] for d in document["disagreements"] if "refuted" in d["sentence"]] == ["claim"]
    said = " ".join(reports.visible(page))
    assert "against the study's own claim" in said
    assert "paper" not in said.replace("that the papers name", "")
    assert "papers" not in page.with_name("summary.md").read_text().replace("that the papers name", "")


@pytest.mark.parametrize("name", reports.NAMES)
def test_limits_point_at_nothing_that_is_not_there(written, name):
    _, document = written[name]
    ratios = [p for v in document["verdicts"] for p in v["parts"] if p["kind"] == "ratio"]
    said = " ".join(document["limits"])
    assert ("sensitivities" in said) == any(p["secondary"] for p in ratios)
    assert ("known to within one evaluation step" in said) == bool(ratios)


def test_imported_logs_share_no_streams_and_their_verdicts_are_post_hoc(written, tmp_path):
    page, _ = written["imported"]
    records = page.parent.parent / "runs" / "runs" / "imported"
    with_fits = analysis.report(records, tmp_path).with_name("verdicts.json").read_text()
    assert "imported; it is fitted on request" in with_fits
    assert "gain known" not in with_fits
    text = page.read_text()
    assert "andom streams are keyed" not in text
    assert "random numbers are keyed" not in text
    assert "same random streams" not in text
    assert "Another tool made these runs before the claims were written down" in text
    assert "paired by the order in which they were given" in text


def test_few_runs_are_drawn_one_by_one_without_a_band(written):
    page, document = written["three"]
    assert all(b["low"] is b["high"] is None for b in document["bands"])
    files = [f["file"] for f in document["figures"] if f["section"] in ("curves", "panels")]
    for file in files:
        drawn = (page.parent / "figures" / f"{file}.svg").read_text()
        body = drawn[drawn.index("</style>") :]
        assert 'class="band' not in body
        assert len(re.findall(r'class="seed ', body)) % 3 == 0
        assert 'class="seed ' in body


@pytest.mark.parametrize("name", reports.NAMES)
def test_page_and_summary_give_a_placebo_one_estimate_and_interval(written, name):
    page, document = written[name]
    summary = page.with_name("summary.md").read_text()
    for v in document["verdicts"]:
        for x in v["placebo"]:
            show = FORMATS[x["kind"]]
            low, high = (show(end) for end in x["interval"])
            estimate = "–" if x["estimate"] is None else show(x["estimate"])
            assert f"| {x['condition']} | {estimate} | {low} to {high} | {x['n']} |" in summary
            assert "needs no information" not in summary


@pytest.mark.parametrize(("split", "low", "high"), [("train", 0.0, 1.0), ("test", 0.295, 0.325)])
def test_test_curves_have_an_axis_that_fits_them(split, low, high):
    axes = Axes.of(split, [0.9], np.array([[0.305, 0.315], [0.30, 0.32]]), [0.31, 0.31])
    assert (axes.low, axes.high) == pytest.approx((low, high))
    assert axes.thresholds == ((0.9,) if split == "train" else ())


def test_a_world_of_many_conditions_gives_each_its_line():
    names = [f"c{i}" for i in range(9)]
    css = styles([*names, "random", "yoked"], {"random", "yoked"})
    assert len(set(css.values())) == 11
    assert all(css[name].startswith("placebo ") for name in ("random", "yoked"))
