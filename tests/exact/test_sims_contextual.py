"""The contextual world with one training query against the geometry of theory §6."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from support.contextual_replay import ROOT, Setting, setting, train

from banditrft.streams import Purpose, uniforms
from banditrft.theory.generalisation import ceiling, held_out
from banditrft.worlds import ContextualWorld
from sims.contextual.contexts import Contexts
from sims.contextual.evaluation import information, pass_at_1

pytestmark = pytest.mark.slow(12)

R = 512
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
SIGNALS = ["raw", "centered", "grpo", "rloo", "batch-centered", "gpg", "reinforce-plus-plus"]
Floats = NDArray[np.float64]


def population_pass_at_1(made: Setting, w: Floats) -> Floats:
    """E sigmoid(mu.w + |w| Z), Z standard normal (§6), one per row of w."""
    spread = np.linalg.norm(w, axis=-1)[..., None] * NODES
    return expit((w * made.mu_PD).sum(-1)[..., None] + spread) @ NODE_WEIGHTS / NODE_WEIGHTS.sum()


@pytest.mark.parametrize("reward", ["zero-one", "minus-one-one", "random"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_sgd_stays_on_the_line_through_the_query(signal: str, reward: str) -> None:
    """Path independence: w - w0 is parallel to u0 whatever the signal, reward map, clip or penalty."""
    made = setting(ContextualWorld(seeds=R), range(40))
    u = made.pool.u_PND
    for more in ({"rollouts": 2}, {"rollouts": 4, "kl_coef": 0.01, "updates_per_round": 2, "batch_size": 3}):
        moved = (
            train(
                made, (20, 100), signal=signal, reward=reward, optimizer="sgd", learning_rate=0.02, rounds=100,
                **more,
            ).w_RFD
            - made.w0_PD[:, None]
        )  # fmt: skip
        along = (moved * u).sum(-1, keepdims=True) / (u * u).sum(-1, keepdims=True)
        np.testing.assert_allclose(moved, along * u, atol=1e-12)
        assert np.abs(along).max() > 0.005


def test_adam_moves_along_the_signs_of_the_query() -> None:
    made = setting(ContextualWorld(seeds=R), range(50))
    paths = train(made, (60,), optimizer="adam", rollouts=4, learning_rate=0.002, rounds=60)
    moved = (paths.w_RFD[:, 0] - made.w0_PD) * np.sign(made.pool.u_PND[:, 0])
    np.testing.assert_allclose(moved, np.median(moved, axis=1, keepdims=True) * np.ones(64), rtol=2e-3)


def at_target(world: ContextualWorld, optimizer: str, axes: bool) -> Floats:
    """Population test Pass@1 of each seed where its training query reaches .99: back along the path's chord."""
    rate = 0.02 if optimizer == "sgd" else 0.005
    made = setting(world, range(R), axes)
    paths = train(made, (1500,), optimizer=optimizer, rollouts=4, learning_rate=rate, rounds=1500)
    assert population_pass_at_1(made, made.w0_PD) == pytest.approx(0.7264, abs=1e-4)
    end, base = paths.w_RFD[:, 0], logit(world.one_base())
    reached = (end * made.pool.u_PND[:, 0]).sum(-1)
    assert reached.min() > logit(0.99)
    share = (logit(0.99) - base) / (reached - base)
    return population_pass_at_1(made, made.w0_PD + share[:, None] * (end - made.w0_PD))


@pytest.mark.parametrize("axes", [False, True])
@pytest.mark.parametrize(
    ("p0", "quoted"),
    [(0.005, 0.675), (0.02, 0.699), (0.05, 0.719), (0.1, 0.728), (0.3, 0.742), (0.6, 0.747), (0.8, 0.750)],
)
def test_difficulty_ceiling(p0: float, quoted: float, axes: bool) -> None:
    """§6's table under SGD, in any basis: its simulated numbers, the quadrature, the closed form."""
    world = ContextualWorld(seeds=R, base_pass_at_1=p0)
    p = at_target(world, "sgd", axes)
    error = p.std() / np.sqrt(R)
    assert abs(p.mean() - quoted) < 0.001 + 3.5 * error
    assert abs(p.mean() - held_out(world, p0, 0.99)) < 4 * error
    assert abs(p.mean() - ceiling(world, p0, 0.99)) < 0.004 + 3.5 * error


@pytest.mark.parametrize(("p0", "quoted", "random"), [(0.005, 0.645, 0.662), (0.1, 0.713, 0.717)])
def test_adam_depends_on_the_basis(p0: float, quoted: float, random: float) -> None:
    """§6's Adam numbers belong to mu and v along two axes; random directions (mean over 60 draws) do better."""
    world = ContextualWorld(seeds=R, base_pass_at_1=p0)
    on_axes, in_general = (at_target(world, "adam", axes) for axes in (True, False))
    assert abs(on_axes.mean() - quoted) < 0.001 + 3.5 * on_axes.std() / np.sqrt(R)
    assert abs(in_general.mean() - random) < 0.012 + 3.5 * in_general.std() / np.sqrt(R)
    assert in_general.mean() > on_axes.mean()


def test_training_query_against_plain_numpy() -> None:
    """One seed in NumPy with the same uniforms: SGD and Adam, groups of four, centred signal."""
    for optimizer in ("sgd", "adam"):
        made = setting(ContextualWorld(seeds=1, dimension=8), [0])
        paths = train(
            made, range(41), optimizer=optimizer, signal="centered", rollouts=4, learning_rate=0.05, rounds=40,
            adam_eps=1e-3,
        )  # fmt: skip
        w, u0 = made.w0_PD[0].copy(), made.pool.u_PND[0, 0]
        m, v = np.zeros(8), np.zeros(8)
        for t in range(1, 41):
            p = expit(w @ u0)
            right = uniforms(ROOT, [0], [0], Purpose.SAMPLE, t, 1, 4)[0, 0, [2, 3, 0, 1]] < p
            g = ((right - right.mean()) * (right - p)).mean() * u0
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            adam = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)
            w = w + 0.05 * (g if optimizer == "sgd" else adam)
            np.testing.assert_allclose(paths.w_RFD[0, t], w, rtol=1e-9)
            np.testing.assert_allclose(
                paths.trace.update_norm_RT[0, t - 1],
                np.linalg.norm(paths.w_RFD[0, t] - paths.w_RFD[0, t - 1]),
                rtol=1e-9,
            )
            assert paths.trace.correct_RTB[0, t - 1, 0] == right.sum()


def test_placebo_does_not_drift() -> None:
    """Rewards that ignore the answer move the log-odds like a martingale: no drift in expectation."""
    made = setting(ContextualWorld(seeds=2000), range(2000))
    paths = train(made, (100,), reward="random", optimizer="sgd", learning_rate=0.01, rounds=100)
    moved = (paths.w_RFD[:, 0] * made.pool.u_PND[:, 0]).sum(-1) - logit(0.1)
    assert moved.std() > 0.3
    assert abs(moved.mean()) < 3.5 * moved.std() / np.sqrt(len(moved))
    high, right = paths.trace.reward_sum_RTB[:, 0, 0], paths.trace.correct_RTB[:, 0, 0]
    assert abs(high.mean() - 0.1) < 4 * np.sqrt(0.09 / 2000)
    assert abs(np.corrcoef(high, right)[0, 1]) < 4 / np.sqrt(2000)


def test_held_out_counts() -> None:
    made = setting(ContextualWorld(seeds=R, test_items=300, offset_spread=0.7), range(20))
    paths = train(made, (0, 50), learning_rate=0.005, rounds=50)

    def look(rows: slice, rounds: list[int], N: int) -> tuple[Floats, NDArray[np.int64]]:
        some = Contexts(made.test.u_PND[rows, :N], made.test.offset_PN[rows, :N])
        w_RFD = paths.w_RFD[rows, -len(rounds) :]
        seeds = made.seeds[rows]
        purpose = Purpose.FINAL_TEST
        return pass_at_1(some, w_RFD, root_seed=ROOT, seeds=seeds, rounds=rounds, purpose=purpose, samples=4)

    p, correct = look(slice(None), [0, 50], 300)
    exact = expit(np.einsum("rfd,rnd->rfn", paths.w_RFD, made.test.u_PND) + made.test.offset_PN[:, None])
    np.testing.assert_allclose(p, exact.mean(-1), rtol=1e-12)
    z = (correct - 4 * exact.sum(-1)) / np.sqrt(4 * (exact * (1 - exact)).sum(-1))
    assert abs((z**2).sum() - 40) < 4 * np.sqrt(80)
    for samples in (1, 3, 4):
        counts = [
            pass_at_1(
                Contexts(made.test.u_PND[3:4, :N], made.test.offset_PN[3:4, :N]), paths.w_RFD[3:4, 1:],
                root_seed=ROOT, seeds=[3], rounds=[50], purpose=Purpose.FINAL_TEST, samples=samples,
            )[1][0, 0]
            for N in range(1, 30)
        ]  # fmt: skip
        u_NS = uniforms(ROOT, [3], [0], Purpose.FINAL_TEST, 50, 1, 29 * samples).reshape(29, samples)
        right_N = (u_NS < exact[3, 1, :29, None]).sum(axis=1)
        assert counts == np.cumsum(right_N).tolist()
        assert 0 < right_N.sum() < 29 * samples


@pytest.mark.parametrize(("D", "N", "pools"), [(1, 1, 5), (3, 2, 1), (4, 8, 5), (7, 9, 1), (64, 33, 5)])
def test_an_evaluation_does_not_depend_on_its_company(D: int, N: int, pools: int) -> None:
    """Weights are evaluated a few at a time: the same bits whichever these are."""
    rng = np.random.default_rng(D)
    contexts = Contexts(rng.normal(size=(pools, N, D)), rng.normal(size=(pools, N)))
    w_RFD, seeds, rounds = rng.normal(size=(5, 3, D)), np.arange(5), np.array([0, 4, 9])

    def look(rows: slice, columns: slice) -> tuple[Floats, NDArray[np.int64]]:
        return pass_at_1(
            contexts.of(rows), w_RFD[rows, columns], root_seed=ROOT, seeds=seeds[rows], rounds=rounds[columns],
            purpose=Purpose.EVAL_TEST, samples=2,
        )  # fmt: skip

    p, correct = look(slice(None), slice(None))
    exact = expit(np.einsum("rfd,rnd->rfn", w_RFD, contexts.u_PND) + contexts.offset_PN[:, None])
    np.testing.assert_allclose(p, exact.mean(-1), rtol=1e-13)
    for r in range(5):
        for f in range(3):
            one = look(slice(r, r + 1), slice(f, f + 1))
            assert one[0][0, 0] == p[r, f]
            assert one[1][0, 0] == correct[r, f]


def test_entropy_and_kl_of_the_pool() -> None:
    made = setting(ContextualWorld(seeds=3, dimension=8, train_items=6, base_pass_at_1="any"), range(3))
    w_RFD = train(made, (0, 30), learning_rate=0.05, rounds=30, batch_size=2).w_RFD
    entropy, kl = information(made.pool, w_RFD, made.w0_PD, arm_noise=0.4)
    q = expit(np.einsum("rfd,rnd->rfn", w_RFD, made.pool.u_PND))
    base = q[:, :1]
    np.testing.assert_allclose(entropy, -(q * np.log(q) + (1 - q) * np.log(1 - q)).mean(-1), rtol=1e-12)
    classes = (q * np.log(q / base) + (1 - q) * np.log((1 - q) / (1 - base))).mean(-1)
    moved_sq = ((w_RFD - made.w0_PD[:, None]) ** 2).sum(-1)
    np.testing.assert_allclose(kl, classes + 0.08 * moved_sq, rtol=1e-9, atol=1e-14)
    assert (kl[:, 0] == 0).all()
    assert (kl[:, 1] > 0.01).all()
