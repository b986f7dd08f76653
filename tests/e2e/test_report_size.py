"""A thousand runs with a hundred evaluations each: the page stays small enough to mail and quick to open."""

import json

import pytest
from support import analysis as fixtures

import analysis

pytestmark = pytest.mark.slow(6)

TEXT = fixtures.TEXT.replace("rounds = 150\neval_every = 5", "rounds = 100\neval_every = 1")
CSV = 1_000_000


def test_a_large_study_has_a_small_page(tmp_path):
    root = fixtures.write(tmp_path / "study", fixtures.study(sim_seeds=100, llm_seeds=0, text=TEXT))
    page = analysis.report(root, tmp_path / "out", fits="none")
    document = json.loads(page.with_name("verdicts.json").read_text())
    assert document["provenance"]["runs"] == 1000
    assert all(len(b["rounds"]) == 101 for b in document["bands"])
    assert page.stat().st_size < 3_000_000
    assert page.read_text().count("runs drawn") == 0
    assert max(f.stat().st_size for f in page.parent.glob("figures/*")) < CSV


def test_runs_beyond_what_a_panel_holds_are_drawn_in_part_and_said_so(tmp_path):
    text = TEXT.replace('claims = ["A1", "A5"]\n', "claims = []\n")
    root = fixtures.write(tmp_path / "study", fixtures.study(sim_seeds=240, llm_seeds=0, text=text))
    page = analysis.report(root, tmp_path / "out", fits="none").read_text()
    assert page.count("148 of 240 runs drawn") >= 10
