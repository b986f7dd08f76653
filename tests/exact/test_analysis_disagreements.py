"""What counts as a disagreement: contradicting words, intervals that do not meet, closed forms outside them."""

import pytest

from analysis.reporting.content.disagreements import NOTHING, disagreements


def part(world, interval, *, estimate=1.5, band=(1.4, 2.8), **more):
    return {
        "id": "speed",
        "label": "Ratio of times",
        "kind": "ratio",
        "world": world,
        "estimate": estimate,
        "interval": list(interval),
        "band": list(band),
        "conditions": ["G=1"],
        "level": 0.95,
        "two_sided": True,
    } | more


def verdict(kind, world, word, *parts, claim="A5"):
    return {
        "claim": claim,
        "kind": kind,
        "world": world,
        "verdict": word,
        "statement": "Four halve the rounds.",
        "parts": list(parts),
    }


def found(*verdicts, predictions=None, **more):
    worlds = [{"name": "lumped", "rounds": {"G=1": 400}}, {"name": "tiny", "rounds": {"G=1": 150}}]
    claims = [{"id": "A5", "own": False}, {"id": "U1", "own": True}]
    document = {
        "verdicts": list(verdicts),
        "predictions": predictions or {},
        "worlds": worlds,
        "claims": claims,
    }
    return disagreements(document | more)


def test_supported_here_and_refuted_there_is_one():
    (one,) = found(
        verdict("sim", "simulated", "supported", part("lumped", (1.5, 1.7))),
        verdict("llm", "tiny", "refuted", part("tiny", (1.0, 1.6))),
    )
    assert (one["kind"], one["claim"], one["worlds"]) == ("worlds", "A5", ["simulated", "tiny"])
    assert one["theory"] == NOTHING


@pytest.mark.parametrize("word", ["supported", "refuted"])
def test_undecided_contradicts_nothing_but_a_refutation_contradicts_the_paper(word):
    pair = found(
        verdict("sim", "simulated", word, part("lumped", (1.5, 1.7))),
        verdict("llm", "tiny", "undecided", part("tiny", (1.0, 1.6))),
    )
    assert [d["kind"] for d in pair] == (["paper"] if word == "refuted" else [])


def test_intervals_of_two_kinds_of_worlds_that_do_not_meet_differ_in_size():
    sim = verdict("sim", "simulated", "supported", part("lumped", (1.5, 1.7)))
    apart = found(sim, verdict("llm", "tiny", "supported", part("tiny", (1.8, 2.1))))
    assert [d["kind"] for d in apart] == ["size"]
    assert "(1.50 to 1.70, 95% two-sided) in lumped after 400 rounds" in apart[0]["sentence"]
    assert "(1.80 to 2.10, 95% two-sided) in tiny after 150 rounds" in apart[0]["sentence"]
    assert found(sim, verdict("llm", "tiny", "supported", part("tiny", (1.6, 2.1)))) == []
    assert found(sim, verdict("llm", "tiny", "undecided", part("tiny", (None, None)))) == []


def test_a_closed_form_outside_the_interval_is_one_and_is_read_against_the_band():
    own = verdict("sim", "simulated", "supported", part("lumped", (1.55, 1.7)))
    key = "A5:lumped:speed"
    (one,) = found(own, predictions={key: {"low": 1.5, "high": 1.5}})
    assert one["kind"] == "theory"
    assert "1.50, inside what" in one["theory"]
    assert found(own, predictions={key: {"low": 1.2, "high": 1.6}}) == []
    assert found(own, predictions={"A9:lumped:speed": {"low": 1.0, "high": 1.0}}) == []


def test_what_was_expected_and_not_found_is_one():
    own = verdict("sim", "simulated", "supported", part("lumped", (1.5, 1.7)))
    assert [d["kind"] for d in found(own, expected={"A5": "refuted"})] == ["expectation"]
    assert [d["kind"] for d in found(own, expected={"A5": "undecided"})] == ["expectation"]
    assert found(own, expected={"A5": "refuted", "A5/simulated": "supported"}) == []
    open_ = verdict("sim", "simulated", "undecided", part("lumped", (1.2, 1.7)))
    assert found(open_, expected={"A5": "supported"}) == []


def test_verdicts_over_all_worlds_and_untested_ones_are_left_out():
    whole = verdict("sim", "all worlds", "refuted", part("lumped", (1.0, 1.1)))
    assert found(whole, verdict("llm", "tiny", "supported")) == []


def test_a_study_s_own_claim_is_not_refuted_against_the_paper():
    own = verdict("sim", "simulated", "refuted", part("lumped", (1.0, 1.1)), claim="U1")
    (one,) = found(own)
    assert one["kind"] == "claim"
    assert "against the study's own claim" in one["sentence"]
    assert "paper" not in one["sentence"]
