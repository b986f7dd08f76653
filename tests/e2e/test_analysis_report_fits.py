"""The fitted bandit in the report: its section, its figures, its profile likelihoods, and the same in Markdown."""

import json

import numpy as np
import pytest
from support import analysis_page, bandit

import analysis
from analysis.estimands import FORMATS
from analysis.fits.bandit import fit_records
from analysis.reporting.content.further import profiles
from analysis.reporting.page import lookup

CONDITIONS = '\n[[conditions]]\nname = "G=1"\n[[conditions]]\nname = "G=4"\nrollouts = 4\n'


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    text = bandit.text(seeds=6, rounds=60, conditions=CONDITIONS, worlds=(bandit.LUMPED,))
    return bandit.run(text, tmp_path_factory.mktemp("bandits"))


@pytest.fixture(scope="module")
def written(records, tmp_path_factory):
    page = analysis.report(records, tmp_path_factory.mktemp("out"), fits="all")
    return page, json.loads(page.with_name("verdicts.json").read_text())


def test_a_profile_crosses_its_cutoff_at_the_limits_of_the_interval(records):
    fit = fit_records(records, "lumped", ["G=1"])
    (query,) = fit["G=1"].queries
    (found,) = profiles(records, fit)
    steps, deviance = np.log(np.array(found["gain"]) * query.learning_rate), np.array(found["deviance"])
    assert deviance.min() == pytest.approx(0.0, abs=1e-3)
    assert steps[deviance.argmin()] == pytest.approx(query.fit["log_step"])
    limits = query.intervals["log_step"]
    for side, limit in (
        (steps <= query.fit["log_step"], limits.low),
        (steps >= query.fit["log_step"], limits.high),
    ):
        root = np.sqrt(deviance[side])
        order = np.argsort(root)
        crossing = np.interp(np.sqrt(found["cutoff"]), root[order], steps[side][order])
        assert crossing == pytest.approx(limit, abs=0.02)


def test_the_fit_is_on_the_page_and_every_number_is_the_json_s(written):
    page, document = written
    parser = analysis_page.parse(page)
    for attributes, shown in parser.found:
        assert shown == analysis_page.wanted(attributes, lookup(document, attributes["data-path"]))
    paths = {a["data-path"] for a, _ in parser.found}
    assert "fits/0/conditions/1/gain/median" in paths
    rows = document["transfer"][0]["rows"]
    assert {r["condition"] for r in rows} == {"G=4"}
    assert all(
        f"transfer/0/rows/{i}/{name}" in paths for i in range(len(rows)) for name in ("predicted", "observed")
    )
    text = page.read_text()
    assert "Predicted from the fit." in text
    for caption in (
        "Fitted gain in lumped",
        "Profile likelihood of the gain, G=4 in lumped",
        "Residuals of G=1 in lumped",
    ):
        assert any(f["caption"].startswith(caption) for f in document["figures"])


def test_the_summary_has_the_transfer_table(written):
    page, document = written
    summary = page.with_name("summary.md").read_text()
    for row in document["transfer"][0]["rows"]:
        word = "inside" if row["inside"] else "outside"
        assert f"| {FORMATS['location'](row['observed'])} | {word} |" in summary


def test_whether_the_model_fits_stands_before_its_gains(written):
    page, document = written
    (fit,) = document["fits"]
    assert fit["sentence"].startswith(("The residuals are what the model allows", "The model does not fit"))
    assert fit["sentence"] in page.with_name("summary.md").read_text()
    summary = page.with_name("summary.md").read_text()
    assert all(f"- {warning}" in summary for warning in fit["warnings"])


def test_a_simulated_world_is_fitted_only_when_asked(records, tmp_path):
    page = analysis.report(records, tmp_path, fits="models")
    document = json.loads(page.with_name("verdicts.json").read_text())
    assert document["fits"] == document["transfer"] == []
    assert any("'lumped' is simulated" in line for line in document["absent"])
    assert "Fits, and what they predict" not in page.read_text()
