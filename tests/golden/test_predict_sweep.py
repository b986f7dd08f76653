"""Predictions beside simulation where they used to be far apart; the whole sweep is a calibration."""

import numpy as np
import pytest
from calibration.predict_sweep import FOLDER, Case, again, complete, hits, horizon, inside, page, read

from banditrft.predict import what_if
from banditrft.theory.cases import tabular

NOISY = {"reward": "noisy", "false_positive": 0.05}


def case(number, kind="noisy", target=0.9, place=None, **fields):
    return Case(
        number,
        kind,
        {"p0": 0.1, "num_arms": 1000} | (place or {}),
        {"rounds": 1, "learning_rate": 0.05} | fields,
        target,
    )


# before wrong arms without signals of their own were told apart: 106, 155, 109, 82, 72 rounds, and an sd of 4.6 for the KL
WRONG_ARMS = [
    case(1, place={"p0": 0.3}, **NOISY),
    case(2, **NOISY | {"false_positive": 0.01}),
    case(3, rollouts=4, **NOISY),
    case(8, place={"num_arms": 100}, rollouts=4, reward="minus-one-one"),
    case(9, place={"num_arms": 100, "p0": 0.3}, rollouts=4, reward="minus-one-zero"),
    case(7, "general", rollouts=4, signal="grpo", kl_coef=0.01),
]


@pytest.mark.parametrize("of", WRONG_ARMS, ids=lambda of: str(of.number))
def test_most_wrong_arms_take_full_steps_of_adam(of):
    found = of.predicted()
    times = hits(of, horizon(found), 300)
    assert (times >= 0).all()
    assert found.mean_rounds == pytest.approx(times.mean(), rel=0.08)
    assert found.mean_range[0] < times.mean() < found.mean_range[1]
    assert found.sd_rounds == pytest.approx(times.std(), rel=0.35)


QUERIES = [
    {"dimension": 2, "transfer": 0.5},
    {"dimension": 4, "transfer": 1.0},
    {"dimension": 64},
]


@pytest.mark.parametrize("place", QUERIES, ids=lambda place: str(place["dimension"]))
@pytest.mark.parametrize(
    "fields", [{"optimizer": "sgd"}, {"optimizer": "adam"}], ids=lambda fields: fields["optimizer"]
)
def test_queries_of_all_sizes_are_in_the_spread(place, fields):
    """In few dimensions queries differ far more in size than runs of one query do by luck."""
    d = place["dimension"]
    rate = 2.0 / (d + 2) if fields["optimizer"] == "sgd" else 0.15 / d
    of = Case(
        20 + d,
        "query",
        {"seeds": 1, "base_pass_at_1": 0.1} | place,
        {"rounds": 1, "learning_rate": rate} | fields,
        0.8,
    )
    found = of.predicted()
    times = hits(of, 5 * horizon(found), 500)
    times = times[times >= 0].astype(float)
    assert len(times) >= 499
    assert found.mean_rounds == pytest.approx(times.mean(), rel=0.1)
    assert found.sd_rounds == pytest.approx(times.std(), rel=0.25)
    assert found.quantiles["0.5"] == pytest.approx(np.median(times), rel=0.1)


@pytest.mark.parametrize(
    ("of", "word"),
    [
        (
            Case(10, "query", {"seeds": 1, "base_pass_at_1": 0.0465}, {"rounds": 1, "learning_rate": 0.0072, "reward": "noisy", "false_positive": 0.055, "false_negative": 0.088}, 0.5),
            "point the wrong way",
        ),
        (case(13, learning_rate=0.1, reward="noisy", false_positive=0.5, false_negative=0.5), "run ahead"),
        (case(11, place={"p0": 0.02, "num_arms": 4}, learning_rate=0.2, **NOISY), "point the wrong way"),
        (case(12, "negative", place={"p0": 0.004, "num_arms": 3}, optimizer="sgd", learning_rate=2.0, rollouts=4, reward="minus-one-zero"), "trap ratio"),
    ],
    ids=lambda value: str(value.number) if isinstance(value, Case) else None,
)  # fmt: skip
def test_where_some_runs_go_astray_there_is_no_mean(of, word):
    found = of.predicted()
    assert (found.mean_rounds, found.sd_rounds, found.mean_range) == (None, None, None)
    assert any(word in note and "no mean" in note for note in found.notes)
    assert (hits(of, 500, 300) >= 0).mean() < 0.95
    if "p0" in of.place:
        beside = what_if(tabular(of.place["p0"], of.place["num_arms"]), of.design, of.target)
        assert beside.double_rollouts.rounds_ratio is None


def test_a_part_of_the_published_sweep_is_predicted_as_simulated():
    """Every twelfth case: what is predicted now beside what a thousand seeds did (docs/results/predict)."""
    rows = read(FOLDER)
    assert len(rows) >= 300
    now = [again(row) for row in rows[5::12] if row["kind"] != "pool"]
    judged = [row for row in now if row["predicted"] is not None and complete(row)]
    assert len(judged) >= 15
    assert [row["number"] for row in judged if not inside(row)] == []


def test_the_published_page_is_that_of_its_cases():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page(read(FOLDER))
