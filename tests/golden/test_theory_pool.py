"""Theory §8's mean field of a pool against the simulated contextual world: train and test Pass@1 along the run."""

import numpy as np
import pytest
from scipy.special import expit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import predict_world
from banditrft.theory.contextual import query_field
from banditrft.theory.pool import Pools, base_pool, pool_field
from banditrft.worlds import ContextualWorld
from sims.contextual.contexts import stage
from sims.contextual.simulator import simulate

ADAM = {"optimizer": "adam", "learning_rate": 0.005, "batch_size": 8, "rollouts": 4}
SGD = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 8, "rollouts": 4}
LOT, LITTLE = (
    {"transfer": 2.0, "alignment": -0.2, "misalignment": 0.5},
    {"transfer": 0.5, "alignment": -1.0, "misalignment": 1.0},
)
NOTHING, SECTION_6 = {"transfer": 0.5, "alignment": 2.0, "misalignment": 1.5}, {}
ROUNDS = 300


def world(items=32, base=(0.1, 0.6), **fields):
    return ContextualWorld(seeds=24, train_items=items, base_pass_at_1=base, test_items=500, **fields)


def simulated(w, d, seeds=36):
    """Mean train and test Pass@1 every 10 rounds, over seeds (directions, pools, test sets)."""
    keep, s = np.arange(0, d.rounds + 1, 10), stage(w, 5).scene(np.arange(seeds))
    paths = simulate(
        s.w0_PD, s.pool, d, root_seed=5, seeds=np.arange(seeds), keep_rounds=keep, arm_noise=w.arm_noise
    )

    def mean(them):
        x = np.einsum("rnd,rfd->rfn", them.u_PND, paths.w_RFD) + them.offset_PN[:, None, :]
        return expit(x).mean(axis=(0, 2))

    return keep, mean(s.pool), mean(s.test)


CASES = [
    (LOT, {}, ADAM),
    (LITTLE, {}, ADAM),
    (NOTHING, {}, ADAM),
    (LOT, {"items": 256, "base": "any", "offset_spread": 0.3}, ADAM | {"signal": "grpo"}),
    (SECTION_6, {}, SGD),
    (LITTLE, {}, SGD | {"signal": "rloo", "learning_rate": 0.2}),
    (SECTION_6, {"items": 8, "base": 0.1}, ADAM | {"learning_rate": 0.002, "batch_size": 4, "rollouts": 1}),
    (LOT, {}, ADAM | {"reward": "noisy", "false_positive": 0.1, "false_negative": 0.2}),
    (SECTION_6, {"items": 1, "base": (0.05, 0.5)}, ADAM | {"learning_rate": 0.002, "batch_size": 1}),
    (LOT, {"arm_noise": 1.0}, ADAM | {"optimizer": "adamw", "weight_decay": 0.01}),
    (NOTHING, {"arm_noise": 3.0}, ADAM | {"signal": "centered"}),
    (LOT, {"arm_noise": 1.0}, SGD),
]


@pytest.mark.parametrize(("setting", "more", "fields"), CASES)
def test_train_and_test_follow_the_mean_field(setting, more, fields):
    """Within .05 at every tenth of 300 rounds, .02 on average; the base of the test set itself varies by .01 between roots."""
    w, d = world(**setting, **more), Design(rounds=ROUNDS, **fields)
    keep, train, test = simulated(w, d)
    field = pool_field(d, w, rounds=ROUNDS)
    for drawn, predicted in ((train, field.train_T[keep]), (test, field.test_T[keep])):
        shift = predicted[0] - drawn[0]
        assert abs(shift) < 0.03
        assert np.abs(predicted - drawn).max() < 0.06
        assert np.abs(predicted - drawn).mean() < 0.03
    target = 0.8
    if train[-1] > target + 0.02:
        reached = np.interp(target, train, keep)
        assert field.rounds_to(target) == pytest.approx(reached, rel=0.2, abs=5)


def test_pools_have_the_base_that_is_asked_for():
    far = Pools.of(world(base=(0.98, 0.999)))
    upper = expit(np.einsum("pnd,pd->pn", far.u_PND, far.w0_PD))
    assert 0.98 <= upper.min() < upper.max() <= 0.999
    for base in (0.1, (0.2, 0.3), "any"):
        w = world(items=64, base=base, offset_spread=0.4)
        pools = Pools.of(w)
        x = np.einsum("pnd,pd->pn", pools.u_PND, pools.w0_PD) + pools.offset_PN
        p = expit(x)
        if base == 0.1:
            assert p == pytest.approx(np.full_like(p, 0.1), rel=1e-9)
        elif base == "any":
            centre, sd = 0.3 * 4, np.sqrt(0.36 + 0.81 + 0.16)
            assert x.mean() == pytest.approx(centre, abs=1e-9)
            assert x.std() == pytest.approx(sd, rel=0.01)
        else:
            assert 0.2 <= p.min() < 0.201 < 0.299 < p.max() <= 0.3
        assert base_pool(w) == pytest.approx(p[0])


def test_a_pool_of_one_is_section_6():
    """Same query law, no average over sizes: rounds to .9 within 10% of the closed form with mean sizes."""
    d = Design(learning_rate=0.002, rollouts=4, rounds=1)
    one = ContextualWorld(seeds=1)
    alone = query_field(d, one, target=0.9).rounds_to(0.9)
    assert pool_field(d, world(items=1, base=0.1), target=0.9).rounds_to(0.9) == pytest.approx(alone, rel=0.1)


def test_predict_answers_for_pools():
    w, d = world(), Design(rounds=50, **ADAM)
    found = predict_world(d, w, target=0.8, tokens_per_rollout=100.0)
    field = pool_field(d, w, rounds=50, target=0.8)
    assert found.mean_rounds == field.rounds_to(0.8)
    assert found.rollouts_mean == found.mean_rounds * 32
    assert found.tokens_mean == found.rollouts_mean * 100
    assert found.curve["test_pass_at_1"] == field.test_T[:51].tolist()
    assert "pool of 32" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("fields", "more", "name"),
    [
        ({"signal": "gpg"}, {}, "signal"),
        ({"kl_coef": 0.1}, {}, "kl_coef"),
        ({"optimizer": "sgd", "match_step_size": True, "signal": "grpo"}, {}, "match_step_size"),
        ({"optimizer": "sgd"}, {"arm_noise": 2.0}, "arm_noise"),
        ({}, {"items": 200_000}, "train_items"),
        ({}, {"base": (0.999999, 0.9999999), "transfer": 0.1, "misalignment": 0.01}, "base_pass_at_1"),
    ],
)
def test_what_it_leaves_out_is_named(fields, more, name):
    with pytest.raises(InputError, match=f"^{name}"):
        pool_field(Design(**ADAM | {"rounds": 1} | fields), world(**more))
