"""Synthetic studies with a known truth, through verdicts and the page; every number of a card against the JSON."""

import json
import math
import re
import subprocess
import sys

import pytest
from support import analysis as fixtures
from support import analysis_page
from support.records import edit_json

import analysis
from analysis.reporting.content.document import wall_seconds
from analysis.reporting.page import lookup
from banditrft.cli.report import verdict_table

pytestmark = pytest.mark.slow(30)


@pytest.fixture(scope="module")
def truth_holds(tmp_path_factory):
    root = tmp_path_factory.mktemp("holds")
    return fixtures.write(root / "study", fixtures.study(sim_seeds=64, llm_seeds=6, text=fixtures.BOTH))


def by_key(root):
    return {(v.claim, v.kind): v for v in analysis.verdicts(analysis.load(root))}


def test_what_holds_is_supported(truth_holds):
    found = by_key(truth_holds)
    assert {key: v.verdict for key, v in found.items()} == dict.fromkeys(
        [("A1", "sim"), ("A1", "llm"), ("A5", "sim"), ("A5", "llm")], "supported"
    )
    parts = {p.id: p for p in found["A5", "llm"].parts}
    assert set(parts) == {"speed-adam", "learns-adam", "speed-sgd", "learns-sgd", "test", "gains"}
    low, high = parts["speed-adam"].interval
    assert math.sqrt(2) <= low < 2.0 < high <= 2 * math.sqrt(2)
    assert parts["speed-adam"].n == 24
    assert parts["test"].band == (-0.02, 0.02)
    assert [p.world for p in found["A5", "sim"].parts] == [*["lumped"] * 4, *["contextual"] * 2]
    for verdict in found.values():
        assert verdict.family == 4
        assert verdict.p_adjusted <= 0.05
        assert [x.estimate for x in verdict.placebo if x.kind == "fraction"] == [0.0, 0.0]


CASES = [
    (fixtures.Truth(ratio_adam=1.0), "A5", "refuted", "speed-adam"),
    (fixtures.Truth(ratio_sgd=2.5), "A5", "refuted", "speed-sgd"),
    (fixtures.Truth(test_effect=0.05), "A5", "refuted", "test"),
    (fixtures.Truth(test_effect=-0.05), "A5", "undecided", "test"),
    (fixtures.Truth(test_gain=-0.02), "A5", "undecided", "test"),
    (fixtures.Truth(stuck={"G=1": 60}), "A1", "refuted", "reach"),
    (fixtures.Truth(stuck={"G=1": 32}), "A1", "undecided", "reach"),
]


@pytest.mark.parametrize(("truth", "claim", "word", "part"), CASES)
def test_what_does_not_hold_is_not_supported(tmp_path, truth, claim, word, part):
    root = fixtures.write(
        tmp_path / "s", fixtures.study(sim_seeds=64, llm_seeds=0, text=fixtures.BOTH), truth
    )
    verdict = by_key(root)[claim, "sim"]
    assert verdict.verdict == word
    decisive = next(p for p in verdict.parts if p.id == part)
    assert decisive.verdict == word
    if claim == "A5":
        others = {p.id: p.verdict for p in verdict.parts if p.id != part}
        gained = "undecided" if truth.test_gain < 0 else "supported"
        assert others.pop("gains") == gained
        assert set(others.values()) == {"supported"}


def test_word_interval_and_p_adjusted_never_disagree(tmp_path):
    for effect, seeds in ((0.0, 4), (0.015, 9), (0.03, 16)):
        truth = fixtures.Truth(ratio_adam=1.6, test_effect=effect, stuck={"G=1": seeds // 2})
        root = fixtures.write(tmp_path / str(seeds), fixtures.study(sim_seeds=seeds, llm_seeds=0), truth)
        for v in analysis.verdicts(analysis.load(root)):
            assert (v.verdict != "undecided") == (v.p_adjusted <= 0.05)
            for p in v.parts:
                low, high = (x if x is not None else math.inf for x in p.interval)
                inside = p.band[0] <= low and (p.kind == "fraction" or high <= p.band[1])
                assert (p.verdict == "supported") == inside, (v.claim, p)


@pytest.fixture(scope="module")
def rendered(truth_holds, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    page = analysis.report(truth_holds, out, fits="none")
    return page, analysis_page.parse(page), json.loads((out / "verdicts.json").read_text())


def test_every_number_of_the_page_is_the_json_s(rendered):
    _, parser, document = rendered
    assert len(parser.found) > 100
    for attributes, shown in parser.found:
        value = lookup(document, attributes["data-path"])
        assert attributes["value"] == ("" if value is None else repr(value))
        assert shown == analysis_page.wanted(attributes, value)
    paths = {a["data-path"] for a, _ in parser.found}
    for i, verdict in enumerate(document["verdicts"]):
        for j in range(len(verdict["parts"])):
            for name in (
                "estimate",
                "interval/0",
                "interval/1",
                "band/0",
                "band/1",
                "p_support",
                "p_refute",
                "n",
                "level",
            ):
                assert f"verdicts/{i}/parts/{j}/{name}" in paths
        for name in ("p", "p_adjusted", "level", "family"):
            assert f"verdicts/{i}/{name}" in paths


def test_levels_say_whether_their_intervals_are_one_sided(rendered):
    page, _, document = rendered
    summary, text = page.with_name("summary.md").read_text(), page.read_text()
    for verdict in document["verdicts"]:
        for part in verdict["parts"]:
            assert part["two_sided"] == (part["kind"] == "ratio")
    assert "% one-sided each |" in summary
    assert "% two-sided |" in summary
    assert "have a one-sided bound at each end" in text
    assert "where the card says so, that the protocol has no margin" in text
    assert "both ends at 95% make a two-sided interval of 90%" in text


def test_a_gain_that_is_within_the_margin_is_told_and_a_loss_leaves_none(tmp_path):
    small = fixtures.Truth(test_effect=0.01, test_sd=0.002)
    root = fixtures.write(tmp_path / "gain", fixtures.study(sim_seeds=64, llm_seeds=0), small)
    notes = " ".join(by_key(root)["A5", "sim"].to_dict()["notes"])
    assert "a gain is shown. It lies within the margin of 2 points" in notes
    loss = fixtures.Truth(test_gain=-0.02)
    root = fixtures.write(tmp_path / "loss", fixtures.study(sim_seeds=64, llm_seeds=0), loss)
    notes = " ".join(by_key(root)["A5", "sim"].to_dict()["notes"])
    assert "'G=1' changed by −" in notes
    assert "could be neither supported nor refuted here" in notes
    assert "gained nothing" not in notes


def test_the_page_stands_alone_and_is_accessible(rendered):
    page, parser, _ = rendered
    text = page.read_text()
    assert parser.outside == []
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"<code>.*?</code>", "", text))
    assert "url(" not in text
    assert "@import" not in text
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.links) <= set(parser.ids)
    assert len(parser.images) > 20
    assert all(svg.get("role") == "img" and len(svg.get("aria-label", "")) > 10 for svg in parser.images)
    assert text.count("<h1") == 1
    assert 'lang="en"' in text
    assert "prefers-color-scheme: dark" in text


def test_words_of_the_summary_are_the_json_s(rendered):
    page, _, document = rendered
    text = page.read_text()
    for verdict in document["verdicts"]:
        assert verdict["verdict"] in {"supported", "refuted", "undecided"}
        assert verdict["summary"].replace("'", "&#39;") in text
    assert "tiny-model result" in text


def test_the_same_records_give_the_same_bytes(truth_holds, rendered, tmp_path):
    page, _, _ = rendered
    again = analysis.report(analysis.load(truth_holds), tmp_path, fits="none")
    assert again.read_bytes() == page.read_bytes()
    for name in (
        "verdicts.json",
        "summary.md",
        *(f"figures/{f.name}" for f in page.parent.glob("figures/*")),
    ):
        assert (tmp_path / name).read_bytes() == (page.parent / name).read_bytes()


def test_runs_under_other_protocols_are_called_post_hoc(tmp_path):
    root = fixtures.write(tmp_path / "s", fixtures.study(sim_seeds=4, llm_seeds=0))
    edit_json(next(root.glob("*/run.json")), lambda info: info | {"claims_hash": "0" * 64})
    page = analysis.report(root, tmp_path / "out", fits="none").read_text()
    assert "post hoc" in page


def test_wall_time_is_the_union_of_the_runs():
    def run(a, b):
        return {"started": f"2026-01-01T00:00:{a:02}+00:00", "finished": f"2026-01-01T00:00:{b:02}+00:00"}

    assert wall_seconds([run(0, 10), run(5, 12), run(6, 7), run(20, 21)]) == 13
    assert wall_seconds([{}]) is None


def test_importing_analysis_loads_no_statistics_and_no_plotting():
    code = (
        "import sys, analysis; heavy = {'statsmodels', 'matplotlib', 'scipy', 'polars', 'torch', 'jinja2'}; "
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture(scope="module")
def without_claims(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    text = fixtures.TEXT.replace('claims = ["A1", "A5"]\n', "claims = []\n")
    fixtures.write(root / "study", fixtures.study(sim_seeds=4, llm_seeds=0, text=text))
    return analysis.report(root / "study", root / "out", fits="none")


def test_a_study_without_claims_has_a_page_of_its_own_name(without_claims):
    page = without_claims.read_text()
    assert "<h1>synthetic: what the runs say</h1>" in page
    assert page.count("This study names no claims.") == 1
    for section in ("Summary", "Verdicts", "Placebo", "Sensitivities", "Several claims at once"):
        assert f">{section}<" not in page
    assert ">Learning curves<" in page
    assert "This study names no claims." in without_claims.with_name("summary.md").read_text()


def test_the_terminal_says_that_a_study_names_no_claims(without_claims):
    assert verdict_table(without_claims.with_name("verdicts.json")) == "This study names no claims."
