"""Summaries of a world's conditions: what stands in them, what they leave out, and whose numbers they are."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from support.claims import ROUNDS, SEEDS, cell, contextual, design, llm, records

from analysis.curves.aggregates import iqm
from analysis.curves.components import components
from analysis.curves.conditions import normalised_area, summaries
from analysis.curves.paths import path_independence

SLOW, FAST = (0.1 + 0.85 / (1 + np.exp(-0.3 * (ROUNDS - middle))) for middle in (25.0, 12.0))


def study(**fields):
    world = contextual()
    return records(
        [],
        cell(world, "G=1", design(), curve=SLOW, test=0.40, **fields),
        cell(world, "G=4", design(rollouts=4), curve=FAST, test=0.45, **fields),
    )


def test_every_condition_is_summed_up_with_its_own_numbers():
    made = study()
    slow, fast = summaries(made, "contextual")
    cells = made.cells
    assert (slow.condition, slow.improvement, slow.reference) == ("G=1", None, "G=1")
    assert fast.area.estimate == pytest.approx(normalised_area(ROUNDS, FAST[None, :])[0])
    assert fast.crossing.estimate < slow.crossing.interval[0]
    assert fast.final.estimate == pytest.approx(iqm(cells[1].test))
    assert fast.improvement.estimate > 0.99
    json.dumps([asdict(c) for c in (slow, fast)], allow_nan=False)


def test_resamples_are_those_of_the_studys_root_seed():
    assert summaries(study(), "contextual") == summaries(study(), "contextual")


def test_without_a_test_set_the_final_training_value_stands():
    made = records([], cell(contextual(), "G=1", design(), curve=SLOW, final=0.9))
    (one,) = summaries(made, "contextual")
    assert one.final.estimate == pytest.approx(461 / 512)


def test_queries_with_one_run_are_left_out():
    alone = cell(llm(), "G=1", design(), query=np.array([3, 3, 7]), curve=SLOW)
    assert summaries(records([], alone), "tiny-qwen2") == ()


def test_logs_without_a_training_curve_keep_their_final_value():
    empty = np.empty((SEEDS, 0))
    nothing = np.zeros(SEEDS, dtype=np.int64)
    made = replace(
        study().cells[0],
        rounds=np.empty(0),
        train=empty,
        train_samples=empty.astype(np.int64),
        final_correct=nothing,
        final_samples=nothing,
    )
    (one,) = summaries(records([], made), "contextual")
    assert (one.area, one.crossing) == (None, None)
    assert one.final.estimate == pytest.approx(iqm(made.test))
    assert path_independence(records([], made), "contextual").comparisons == ()
    assert [d.what for d in components(records([], made))] == ["gain in test Pass@1"]
