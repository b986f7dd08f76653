"""The simulated sequence bandit against its exact closed forms, over 200 settings jointly.

Two kinds of exact statement: the ladder (one raw rollout, SGD), and the first two moments of every gradient in
the first round, for every signal. Their z-scores must look standard normal.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from banditrft.design import Design
from banditrft.theory.matching import matched_law
from banditrft.theory.sequence import Positions, gradients, sequence_law
from banditrft.worlds import SequenceWorld
from sims.lumped import general
from sims.lumped.simulator import Bandit
from sims.sequence import simulate

pytestmark = pytest.mark.slow(15)

SIGNALS = ("raw", "centered", "grpo", "rloo", "gpg", "reinforce-plus-plus", "batch-centered")
PROFILES = {"equal": None, "unequal": (0.3, 0.97, 0.8, 0.6, 0.99)}
ROOT = 20


def positions_of(world):
    tree, table = world.prefixes == "tree", world.geometry == "table"
    return Positions.of(world.probabilities(), options=world.vocabulary, table=table, tree=tree)


def world_of(length, profile, **settings):
    shape = {"profile": profile} if profile else {"tokens": length, "base_pass_at_1": 0.2}
    return SequenceWorld.model_validate({"seeds": 1} | shape | settings)


def ladder_scores():
    """z of the mean rounds to a target."""
    settings = itertools.product(
        (1, 2, 8, 40, 256), ("equal", "unequal"), ("direction", "table"), ("positions", "tree"), (0.6, 0.9)
    )
    seeds, rounds = 200, 150
    for i, (length, shape, geometry, prefixes, target) in enumerate(settings):
        if shape == "unequal" and length != 8:
            continue
        world = world_of(length, PROFILES[shape], geometry=geometry, prefixes=prefixes, vocabulary=6)
        rate = 0.8 * math.sqrt(length)
        law = sequence_law(positions_of(world), rate, target)
        if law.mean + 8 * law.sd > rounds:
            rate *= (law.mean + 8 * law.sd) / rounds
            law = sequence_law(positions_of(world), rate, target)
        design = Design(optimizer="sgd", learning_rate=rate, rounds=rounds)
        paths = simulate(world, design, root_seed=i, seeds=range(seeds), eval_rounds=range(rounds + 1))
        reached = paths.p_RE >= target
        assert reached.any(axis=1).all()
        yield (reached.argmax(axis=1).mean() - law.mean) / (law.sd / math.sqrt(seeds))


def first_rounds():
    """For the first round's gradient at one position: z of the mean, and of the mean square."""
    rng, seeds, rate = np.random.default_rng(8), 2_000, 1e-3
    settings = itertools.product(SIGNALS, (1, 3, 16), ("equal", "unequal"), ("positions", "tree"), (2, 4, 7))
    means, squares = [], []
    for i, (name, length, shape, prefixes, rollouts) in enumerate(settings):
        if shape == "unequal" and length != 3:
            continue
        world = world_of(length, PROFILES[shape], prefixes=prefixes)
        positions = positions_of(world)
        design = Design(optimizer="sgd", learning_rate=rate, rounds=1, rollouts=rollouts, signal=name)
        found = gradients(matched_law(design, positions.pass_at_1), positions)
        paths = simulate(world, design, root_seed=1_000 + i, seeds=range(seeds), eval_rounds=[1])
        at = int(rng.integers(len(positions)))
        g = (logit(np.exp(paths.log_q_RT[:, at])) - positions.gap_T[at]) / rate
        mean, second = found.mean_T[at], found.second_T[at]
        means.append((g.mean() - mean) / math.sqrt((second - mean**2) / seeds))
        squares.append((np.square(g).mean() - second) / (np.square(g).std(ddof=1) / math.sqrt(seeds)))
    return means, squares


def look_standard_normal(scores):
    z = np.array(scores)
    assert np.abs(z).max() < 4.2
    assert abs(z.mean()) < 3.5 / math.sqrt(z.size)
    assert stats.chi2.sf((z**2).sum(), z.size) > 1e-3
    assert stats.chi2.cdf((z**2).sum(), z.size) > 1e-3
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_ladders_and_first_rounds_are_exact():
    means, squares = first_rounds()
    scores = [*ladder_scores(), *means]
    assert len(scores) >= 200
    look_standard_normal(scores)
    assert np.abs(squares).max() < 5  # squares are skewed, so their scores are no normal numbers
    assert abs(np.mean(squares)) < 0.3


def test_a_wrong_law_is_noticed():
    """The ladder of a step that is a tenth too long."""
    world = world_of(8, None)
    law = sequence_law(positions_of(world), 1.1, 0.9)
    design = Design(optimizer="sgd", learning_rate=1.0, rounds=200)
    paths = simulate(world, design, root_seed=ROOT, seeds=range(2_000), eval_rounds=range(201))
    hit = (paths.p_RE >= 0.9).argmax(axis=1)
    assert abs(hit.mean() - law.mean) / (law.sd / math.sqrt(2_000)) > 4.2


def test_one_position_with_a_table_is_the_lumped_bandit_in_law():
    """Adam and GRPO, many wrong options: no closed form, two simulators."""
    design = Design(learning_rate=0.1, rounds=80, rollouts=4, signal="grpo", optimizer="adam")
    world = SequenceWorld(seeds=1, profile=(0.1,), vocabulary=200, geometry="table")
    grid = range(81)
    ours = simulate(world, design, root_seed=ROOT, seeds=range(400), eval_rounds=grid).p_RE
    bandit = Bandit.of((1, 199), [0.1, 0.9], [1, 0])
    theirs = general.simulate(bandit, design, root_seed=ROOT + 1, seeds=range(400), eval_rounds=grid).p_RE
    for at in (10, 20, 40, 80):
        assert stats.ks_2samp(ours[:, at], theirs[:, at]).pvalue > 1e-3
