"""Theory §8: splits of a rollout budget, against enumeration of all batches and outcomes with explicit vectors."""

import itertools

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.rewards import reward_map
from banditrft.signals import signal
from banditrft.theory.budget import best_split, splits
from banditrft.theory.matching import class_moments

POOL = (0.03, 0.2, 0.6)


def design(name="raw", **fields):
    return Design(**{"signal": name, "rollouts": 2, "learning_rate": 1.0, "rounds": 1} | fields)


def enumerate_updates(d, p_N, B, G, sharing, arm_noise):
    """Mean update, mean squared length, silent fraction: d_i = sqrt(rho) e_0 + sqrt(1-rho) e_i, rollouts' arms on axes of their own."""
    low, high = reward_map(d)[:2]
    N = len(p_N)
    size = 1 + N + B * G
    mean, square, silent = np.zeros(size), 0.0, 0.0
    batches = list(itertools.combinations(range(N), B))
    for batch in batches:
        for outcome in itertools.product((0, 1), repeat=B * G):
            ok_BG = np.array(outcome).reshape(B, G)
            p_B1 = np.array([p_N[i] for i in batch])[:, None]
            weight = float(np.prod(np.where(ok_BG, p_B1, 1 - p_B1))) / len(batches)
            s_BG = signal(d, np.where(ok_BG, high, low).astype(float))
            g = np.zeros(size)
            for row, i in enumerate(batch):
                u = float(np.mean(s_BG[row] * (ok_BG[row] - p_N[i])))
                g[0] += np.sqrt(sharing) * u / B
                g[1 + i] += np.sqrt(1 - sharing) * u / B
                silent += weight * bool(np.all(s_BG[row] == 0)) / B
                for k in range(G):
                    g[1 + N + row * G + k] = np.sqrt(arm_noise) * s_BG[row, k] / (G * B)
            mean += weight * g
            square += weight * float(g @ g)
    # the arms are fresh ones each round, so their axes have mean 0: the sign of an axis is random
    mean[1 + N :] = 0
    return mean, square, silent


@pytest.mark.parametrize("reward", ["zero-one", "minus-one-zero"])
@pytest.mark.parametrize("name", ["raw", "centered", "grpo", "rloo"])
@pytest.mark.parametrize(("sharing", "arm_noise"), [(0.0, 0.0), (0.3, 0.7), (1.0, 0.0)])
def test_every_row_equals_the_enumeration(name, reward, sharing, arm_noise):
    p_N = np.array(POOL)
    d = design(name, reward=reward)
    table = splits(d, POOL, 6, sharing=sharing, arm_noise=arm_noise)
    assert [(row.batch_size, row.rollouts) for row in table] == [(1, 6), (2, 3), (3, 2)]
    aim = np.zeros(1 + len(p_N) + 6)
    aim[0] = np.sqrt(sharing) * np.mean(p_N * (1 - p_N))
    aim[1:4] = np.sqrt(1 - sharing) * p_N * (1 - p_N) / len(p_N)
    for row in table:
        mean, square, silent = enumerate_updates(d, p_N, row.batch_size, row.rollouts, sharing, arm_noise)
        assert row.alignment == pytest.approx(float(aim @ mean), rel=1e-10)
        assert row.drift_square == pytest.approx(float(mean @ mean), rel=1e-10)
        assert row.noise == pytest.approx(square - float(mean @ mean), rel=1e-9)
        assert row.aim_square == pytest.approx(float(aim @ aim), rel=1e-12)
        assert row.silent == pytest.approx(silent, rel=1e-10)
        cosine = float(aim @ mean) ** 2 / float((aim @ aim) * (mean @ mean))
        assert row.efficiency == pytest.approx(cosine / (1 + 1 / row.snr), rel=1e-9)
        # the best step maximises the guarantee, and the guarantee at it is efficiency |aim|^2 / (2 L)
        best = row.best_step(2.5)
        guarantee = row.progress(best, 2.5)
        assert guarantee == pytest.approx(row.efficiency * row.aim_square / (2 * 2.5), rel=1e-12)
        assert guarantee > max(row.progress(0.9 * best, 2.5), row.progress(1.1 * best, 2.5))


def test_guarantee_holds_for_a_quadratic_objective():
    """Simulated: on J(x) = aim.x - (L/2)|x|^2 one step gains exactly the guarantee on average (z within 4)."""
    rng = np.random.default_rng(11)
    p_N, d = np.array([0.05, 0.3, 0.5, 0.8]), design("grpo", signal_ddof=0)
    (row,) = [row for row in splits(d, p_N, 8, sharing=0.4) if row.batch_size == 2]
    directions = np.concatenate([np.full((4, 1), np.sqrt(0.4)), np.sqrt(0.6) * np.eye(4)], axis=1)
    aim = (p_N * (1 - p_N)) @ directions / 4
    gains = np.empty(20_000)
    for k in range(len(gains)):
        batch = rng.choice(4, 2, replace=False)
        ok = rng.random((2, 4)) < p_N[batch, None]
        u = np.mean(signal(d, ok.astype(float)) * (ok - p_N[batch, None]), axis=1)
        step = 0.3 * (u @ directions[batch]) / 2
        gains[k] = aim @ step - 0.5 * 1.7 * step @ step
    z = (gains.mean() - row.progress(0.3, 1.7)) / (gains.std() / np.sqrt(len(gains)))
    assert abs(z) < 4


def test_one_query_is_section_3():
    d = design("grpo")
    (row,) = splits(d, [0.2], 8)
    now = class_moments(design("grpo", rollouts=8), 0.2)
    assert row.snr == pytest.approx(now.snr)
    assert row.efficiency == pytest.approx(now.drift**2 / now.second)


@pytest.mark.parametrize("sharing", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("arm_noise", [0.0, 1.0])
def test_raw_never_gains_by_repeating_a_query(sharing, arm_noise):
    """Raw {0,1}: rollout noise depends on B G alone, choice of queries on B alone: efficiency never falls with B."""
    pool = np.random.default_rng(2).uniform(0.005, 0.95, 64)
    rows = splits(design("raw"), pool, 64, sharing=sharing, arm_noise=arm_noise)
    assert [row.batch_size for row in rows] == [1, 2, 4, 8, 16, 32, 64]
    efficiency = [row.efficiency for row in rows]
    assert all(b >= a * (1 - 1e-12) for a, b in itertools.pairwise(efficiency))
    chosen = best_split(design("raw"), pool, 64, sharing=sharing, arm_noise=arm_noise)
    assert chosen.efficiency == max(efficiency)
    assert chosen.batch_size == 64


def test_advantages_have_an_inner_optimum():
    """Pairs waste rollouts on equal rewards, one large group wastes queries: the best lies between."""
    pool = np.full(64, 0.3)
    rows = splits(design("centered"), pool, 64, sharing=0.5)
    best = best_split(design("centered"), pool, 64, sharing=0.5)
    assert rows[0].batch_size < best.batch_size < rows[-1].batch_size
    assert best.efficiency == max(row.efficiency for row in rows)


@pytest.mark.parametrize("name", ["centered", "grpo"])
@pytest.mark.parametrize(
    ("sharing", "arm_noise", "split"),
    [(0.0, 0.0, (32, 2)), (0.1, 0.0, (32, 2)), (0.5, 0.0, (16, 4)), (0.1, 10.0, (8, 8))],
)
def test_example_of_the_documentation(name, sharing, arm_noise, split):
    pool = 1 / (1 + np.exp(-np.random.default_rng(0).normal(-2, 1.5, 256)))
    best = best_split(design(name), pool, 64, sharing=sharing, arm_noise=arm_noise)
    assert (best.batch_size, best.rollouts) == split


def test_advantages_pay_where_rollouts_shake_their_own_arms():
    easy = np.full(256, 0.9)
    for arm_noise, raw, centered in ((0.0, 0.894, 0.383), (10.0, 0.006, 0.045)):
        for name, quoted in (("raw", raw), ("centered", centered)):
            best = best_split(design(name), easy, 64, sharing=0.1, arm_noise=arm_noise)
            assert best.efficiency == pytest.approx(quoted, abs=6e-4)


def test_signals_that_differ_by_a_factor_are_equally_efficient_at_any_split():
    """Efficiency does not see the step size: rloo = G/(G-1) centered."""
    pool = [0.01, 0.1, 0.4, 0.9]
    for one, two in zip(splits(design("centered"), pool, 24), splits(design("rloo"), pool, 24), strict=True):
        assert one.efficiency == pytest.approx(two.efficiency, rel=1e-11)
        assert two.alignment == pytest.approx(one.alignment * one.rollouts / (one.rollouts - 1))


@pytest.mark.parametrize(
    ("fields", "pool", "budget", "options", "name"),
    [
        ({}, [0.1, 1.0], 8, {}, "p_N"),
        ({}, [], 8, {}, "p_N"),
        ({}, [[0.1]], 8, {}, "p_N"),
        ({}, [0.1], 0, {}, "budget"),
        ({"name": "grpo"}, [0.1], 1, {}, "budget"),
        ({}, [0.1], 5000, {}, "budget"),
        ({"name": "gpg"}, [0.1], 1, {}, "signal"),
        ({}, [0.1], 8, {"sharing": 1.1}, "sharing"),
        ({}, [0.1], 8, {"arm_noise": -1.0}, "arm_noise"),
        ({"reward": "graded"}, [0.1], 8, {}, "reward"),
        ({"updates_per_round": 2}, [0.1], 8, {}, "updates_per_round"),
    ],
)
def test_bad_values_are_named(fields, pool, budget, options, name):
    with pytest.raises(InputError, match=f"^{name}"):
        best_split(design(**fields), pool, budget, **options)


def test_steps_need_a_curvature():
    (row,) = splits(design(), [0.1], 4)
    with pytest.raises(InputError, match=r"^curvature"):
        row.best_step(0.0)
    with pytest.raises(InputError, match=r"^learning_rate"):
        row.progress(-1.0, 1.0)
