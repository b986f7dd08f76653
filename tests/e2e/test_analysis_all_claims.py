"""All claims of the ledger in one small simulated study: run, judged, rendered, and read back."""

import json
import math
import re
from typing import get_args

import pytest
from click.testing import CliRunner
from support import analysis_page

import analysis
import sims
from analysis.estimands import Kind
from analysis.reporting.page import lookup
from banditrft.claims import CLAIMS
from banditrft.cli.sim import command, sim_presets
from banditrft.study import parse_study

pytestmark = pytest.mark.slow(30)

CONDITIONS = {
    "G=1": "",
    "G=4": "rollouts = 4",
    "G=1, SGD": 'optimizer = "sgd"',
    "G=4, SGD": 'rollouts = 4\noptimizer = "sgd"',
    "GRPO": 'rollouts = 4\nsignal = "grpo"',
    "GRPO, SGD, matched": 'rollouts = 4\nsignal = "grpo"\noptimizer = "sgd"\nmatch_step_size = true',
    "{-1, 0}": 'reward = "minus-one-zero"',
    "placebo": 'reward = "random"',
    "raw (32, 1)": "batch_size = 32",
    "GRPO (32, 1 + 7)": 'batch_size = 32\nsignal = "grpo"\nbaseline_rollouts = 7',
    "raw (32, 8)": "batch_size = 32\nrollouts = 8",
    "raw (32, 16)": "batch_size = 32\nrollouts = 16",
    "GRPO (32, 1, 7)": 'batch_size = 32\nsignal = "grpo"\nreplay_window = 8',
    **{
        f"GRPO ({b}, {256 // b})": f'batch_size = {b}\nrollouts = {256 // b}\nsignal = "grpo"'
        for b in (8, 32, 64, 128)
    },
    **{f"raw ({b}, 1)": f"batch_size = {b}" for b in (256, 512, 1024)},
}
WORLDS = """
[[sim]]
world = "lumped"
keep_groups = false
classes = [{name = "correct", arms = 1, mass = 0.2, reward = 1}, {name = "wrong", arms = 9, mass = 0.8, reward = 0}]
""" + "".join(
    f"""
[[sim]]
world = "contextual"
name = "{name}"
dimension = 8
test_items = 40
keep_groups = false
{fields}
"""
    for name, fields in {
        "hard": "base_pass_at_1 = 0.02",
        "easy": "base_pass_at_1 = 0.2",
        "easier": "base_pass_at_1 = 0.4\ntransfer = 0.0",
        "pool a": 'train_items = 32\nbase_pass_at_1 = "any"',
        "pool b": "train_items = 32\nbase_pass_at_1 = [0.1, 0.5]\ntransfer = 0.0",
    }.items()
)
HEAD = f"""
name = "everything"
description = "Every claim once."
seeds = 12
claims = {json.dumps(list(CLAIMS))}
[expected]
A1 = "supported"
"B1/pool a" = "refuted"
[design]
learning_rate = 0.05
rounds = 24
eval_every = 3
eval_samples = 16
test_every = 8
final_eval_samples = 64
final_test_samples = 1
"""
TEXT = HEAD + "".join(f'\n[[conditions]]\nname = "{n}"\n{f}\n' for n, f in CONDITIONS.items()) + WORLDS


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    root = tmp_path_factory.mktemp("all")
    study = parse_study(TEXT)
    outcome = sims.run(study, root, workers=1)
    assert not outcome.failed
    page = analysis.report(root / study.name, root / "out")
    return study, page, json.loads((root / "out" / "verdicts.json").read_text())


def test_every_claim_is_tested(reported):
    study, _, document = reported
    tested = {v["claim"] for v in document["verdicts"] if v["p"] is not None}
    assert tested == set(CLAIMS)
    assert document["expected"] == dict(study.expected)
    kinds = {p["kind"] for v in document["verdicts"] for p in v["parts"]}
    assert kinds == set(get_args(Kind))


def test_pools_are_no_single_queries(reported):
    _, _, document = reported
    for v in document["verdicts"]:
        read = {name for p in v["parts"] for name in p["world"].split(", ")}
        if v["claim"].startswith("A"):
            assert not {"pool a", "pool b"} & read, v["claim"]
        else:
            assert read <= {"pool a", "pool b"}, v["claim"]


def test_word_interval_and_p_never_disagree(reported):
    _, _, document = reported
    for v in document["verdicts"]:
        if v["p"] is None:
            continue
        assert (v["verdict"] != "undecided") <= (v["p_adjusted"] <= 0.05), (v["claim"], v["world"])
        for p in v["parts"]:
            low = -math.inf if p["interval"][0] is None else p["interval"][0]
            high = math.inf if p["interval"][1] is None else p["interval"][1]
            top = math.inf if p["band"][1] is None else p["band"][1]
            inside = p["band"][0] <= low and (high <= top or p["kind"] == "fraction")
            assert (p["verdict"] == "supported") == inside, (v["claim"], p["id"], p["interval"], p["band"])
            assert p["sentence"]
            assert p["detail"]


def test_placebo_stands_beside_every_claim(reported):
    _, _, document = reported
    beside = {v["claim"] for v in document["verdicts"] if v["placebo"]}
    assert beside == set(CLAIMS)


def test_every_number_of_the_page_is_the_json_s(reported):
    _, page, document = reported
    numbers = analysis_page.parse(page)
    assert len(numbers.found) > 500
    for attributes, shown in numbers.found:
        value = lookup(document, attributes["data-path"])
        assert attributes["value"] == ("" if value is None else repr(value))
        assert shown == analysis_page.wanted(attributes, value)
    assert numbers.outside == []
    assert len(numbers.ids) == len(set(numbers.ids))
    assert set(numbers.links) <= set(numbers.ids)
    text = page.read_text()
    assert not re.search(r"\bnan\b", text.lower())
    for v in document["verdicts"]:
        assert v["summary"].replace("'", "&#39;") in text


def test_the_same_verdicts_from_any_chunking(reported, tmp_path):
    study, _, document = reported
    import banditrft.runs as runs

    original = runs.CHUNK
    try:
        runs.CHUNK = 5
        sims.run(study, tmp_path, workers=1)
    finally:
        runs.CHUNK = original
    again = analysis.verdicts(analysis.load(tmp_path / study.name))
    assert [v.verdict for v in again] == [v["verdict"] for v in document["verdicts"]]
    assert [v.p for v in again] == [v["p"] for v in document["verdicts"]]


def test_presets_are_complete():
    studies = sim_presets("all")
    assert sorted(c for s in studies for c in s.claims) == sorted(CLAIMS)
    for study in studies:
        assert study.description.endswith(".")
        assert study.expects(study.claims[0], "anywhere")
        assert study.text.startswith("# ")
        for world in study.worlds():
            assert world.seeds >= 200
            assert any(d.reward == "random" for d in study.designs(world.name).values())


def test_one_preset_through_the_command_line(tmp_path):
    result = CliRunner().invoke(
        command,
        ["--preset", "a1", "--runs", str(tmp_path), "--workers", "1", "--json"],
        standalone_mode=False,
    )
    assert result.return_value == 0, result.output
    rows = json.loads(result.stdout)["verdicts"]
    assert [(r["study"], r["claim"], r["expected"]) for r in rows] == [("sim-a1", "A1", "supported")]
    assert rows[0]["as_expected"] == (rows[0]["verdict"] == "supported")
    assert (tmp_path / "sim-a1" / "report.html").exists()
    shown = CliRunner().invoke(
        command, ["--preset", "sim-a1", "--runs", str(tmp_path), "--workers", "1"], standalone_mode=False
    )
    assert "0 runs done, 4 found" in shown.stderr
    assert "1 of 1 verdicts as expected" in shown.stdout
