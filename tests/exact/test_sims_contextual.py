"""The contextual world against the geometry of theory §6."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from banditrft.design import Design
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import ContextualWorld
from sims.contextual import Contexts, ContextualPaths, draw, held_out_pass_at_1, simulate
from sims.learner import Learner

R, ROOT = 512, 5
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
Floats = NDArray[np.float64]


def train(
    world: ContextualWorld,
    keep: tuple[int, ...],
    R: int = R,
    evals: tuple[int, ...] = (),
    axes: bool = False,
    **design: object,
) -> tuple[Contexts, ContextualPaths]:
    made = Design(**design)  # type: ignore[arg-type]
    contexts = draw(world, ROOT, range(R), np.eye(2, world.dimension) if axes else None)
    learner = Learner.from_design(made, world.base_pass_at_1)
    paths = simulate(
        contexts,
        learner,
        root_seed=ROOT,
        seeds=range(R),
        rounds=made.rounds,
        eval_rounds=evals,
        keep_rounds=keep,
    )
    return contexts, paths


def population_pass_at_1(contexts: Contexts, w: Floats) -> Floats:
    """E sigmoid(mu.w + |w| Z), Z standard normal (§6), one per row of w."""
    spread = np.linalg.norm(w, axis=-1)[..., None] * NODES
    return expit((w @ contexts.mu_D)[..., None] + spread) @ NODE_WEIGHTS / NODE_WEIGHTS.sum()


def test_geometry_of_the_drawn_world() -> None:
    world = ContextualWorld(seeds=R, base_pass_at_1=0.05, noise=1.3)
    contexts = draw(world, ROOT, range(R))
    mu, w0 = contexts.mu_D, contexts.w0_D
    assert np.linalg.norm(mu) == pytest.approx(2.0)
    assert w0 @ mu == pytest.approx(0.3 * 4)
    assert np.linalg.norm(w0 - 0.3 * mu) == pytest.approx(0.9)
    np.testing.assert_allclose(contexts.train_RD @ w0, logit(0.05), rtol=1e-9)
    across = contexts.train_RD - (contexts.train_RD @ w0)[:, None] * w0 / (w0 @ w0)
    centre = mu - (mu @ w0) * w0 / (w0 @ w0)
    noise = (across - centre) / 1.3  # standard normal in the 63 directions orthogonal to w0
    assert abs((noise**2).sum() - 63 * R) < 4 * np.sqrt(2 * 63 * R)
    assert np.abs(noise.mean(axis=0)).max() < 4.5 / np.sqrt(R)
    assert contexts.test_ND.shape == (1000, 64)
    spread = (contexts.test_ND - mu) / 1.3
    assert abs((spread**2).sum() - 64_000) < 4 * np.sqrt(2 * 64_000)


@pytest.mark.parametrize(("signal", "G", "reward"), [("raw", 1, "zero-one"), ("grpo", 4, "minus-one-one"),
                                                     ("rloo", 2, "random")])  # fmt: skip
def test_sgd_stays_on_the_line_through_the_query(signal: str, G: int, reward: str) -> None:
    """Path independence: w - w0 is parallel to u0 whatever the signal, group size or reward map."""
    contexts, paths = train(
        ContextualWorld(seeds=R), (20, 100), 50, signal=signal, rollouts=G, reward=reward, optimizer="sgd",
        learning_rate=0.02, rounds=100,
    )  # fmt: skip
    moved = paths.w_RFD - contexts.w0_D
    u = contexts.train_RD[:, None, :]
    along = (moved * u).sum(-1, keepdims=True) / (u * u).sum(-1, keepdims=True)
    np.testing.assert_allclose(moved, along * u, atol=1e-12)
    assert np.abs(along).max() > 0.01


def test_adam_moves_along_the_signs_of_the_query() -> None:
    contexts, paths = train(
        ContextualWorld(seeds=R), (60,), 50, optimizer="adam", rollouts=4, learning_rate=0.002, rounds=60
    )
    moved = (paths.w_RFD[:, 0] - contexts.w0_D) * np.sign(contexts.train_RD)
    np.testing.assert_allclose(moved, np.median(moved, axis=1, keepdims=True) * np.ones(64), rtol=2e-3)


def at_target(world: ContextualWorld, optimizer: str, axes: bool) -> Floats:
    """Population test Pass@1 of each seed where its training query reaches .99: back along the path's chord."""
    rate = 0.02 if optimizer == "sgd" else 0.005
    contexts, paths = train(
        world, (600,), axes=axes, optimizer=optimizer, rollouts=4, learning_rate=rate, rounds=600
    )
    assert population_pass_at_1(contexts, contexts.w0_D) == pytest.approx(0.7264, abs=1e-4)
    end, base = paths.w_RFD[:, 0], logit(world.base_pass_at_1)
    reached = (end * contexts.train_RD).sum(-1)
    assert reached.min() > logit(0.99)
    share = (logit(0.99) - base) / (reached - base)
    return population_pass_at_1(contexts, contexts.w0_D + share[:, None] * (end - contexts.w0_D))


@pytest.mark.parametrize("axes", [False, True])
@pytest.mark.parametrize(
    ("p0", "quoted"),
    [(0.005, 0.675), (0.02, 0.699), (0.05, 0.719), (0.1, 0.728), (0.3, 0.742), (0.6, 0.747), (0.8, 0.750)],
)
def test_difficulty_ceiling(p0: float, quoted: float, axes: bool) -> None:
    """§6's simulated numbers under SGD, in any basis."""
    p = at_target(ContextualWorld(seeds=R, base_pass_at_1=p0), "sgd", axes)
    assert abs(p.mean() - quoted) < 0.001 + 3.5 * p.std() / np.sqrt(R)


@pytest.mark.parametrize(("p0", "quoted", "random"), [(0.005, 0.645, 0.662), (0.1, 0.713, 0.717)])
def test_adam_depends_on_the_basis(p0: float, quoted: float, random: float) -> None:
    """§6's Adam numbers belong to mu and v along two axes; random directions (mean over 60 draws) do better."""
    world = ContextualWorld(seeds=R, base_pass_at_1=p0)
    on_axes, in_general = (at_target(world, "adam", axes) for axes in (True, False))
    assert abs(on_axes.mean() - quoted) < 0.001 + 3.5 * on_axes.std() / np.sqrt(R)
    assert abs(in_general.mean() - random) < 0.012 + 3.5 * in_general.std() / np.sqrt(R)
    assert in_general.mean() > on_axes.mean()


def test_training_query_against_plain_numpy() -> None:
    """One seed replayed in NumPy with the same uniforms: SGD and Adam, groups of four, centred signal."""
    for optimizer in ("sgd", "adam"):
        world = ContextualWorld(seeds=1, dimension=8)
        contexts, paths = train(
            world, (40,), 1, tuple(range(41)), optimizer=optimizer, signal="centered", rollouts=4,
            learning_rate=0.05, rounds=40, adam_eps=1e-3,
        )  # fmt: skip
        w, u0 = contexts.w0_D.copy(), contexts.train_RD[0]
        m, v, p = np.zeros(8), np.zeros(8), [expit(w @ u0)]
        for t in range(1, 41):
            right = uniforms(ROOT, [0], [0], Purpose.SAMPLE, t, 4, 4)[0, :, 2] < p[-1]
            g = ((right - right.mean()) * (right - p[-1])).mean() * u0
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            adam = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)
            w = w + 0.05 * (g if optimizer == "sgd" else adam)
            p.append(expit(w @ u0))
        np.testing.assert_allclose(paths.p_RE[0], p, rtol=1e-9)
        np.testing.assert_allclose(paths.w_RFD[0, 0], w, rtol=1e-9)


def test_placebo_does_not_drift() -> None:
    """Rewards that ignore the answer move the log-odds like a martingale: no drift in expectation."""
    contexts, paths = train(
        ContextualWorld(seeds=2000),
        (100,),
        2000,
        reward="random",
        optimizer="sgd",
        learning_rate=0.01,
        rounds=100,
    )
    moved = (paths.w_RFD[:, 0] * contexts.train_RD).sum(-1) - logit(0.1)
    assert moved.std() > 0.3
    assert abs(moved.mean()) < 3.5 * moved.std() / np.sqrt(len(moved))
    high, right = paths.high_RT[:, 0], paths.correct_RT[:, 0]
    assert abs(high.mean() - 0.1) < 4 * np.sqrt(0.09 / 2000)
    assert abs(np.corrcoef(high, right)[0, 1]) < 4 / np.sqrt(2000)


def test_held_out_counts() -> None:
    contexts, paths = train(
        ContextualWorld(seeds=R, test_items=300), (0, 50), 20, learning_rate=0.005, rounds=50
    )
    p, correct = held_out_pass_at_1(
        contexts,
        paths.w_RFD,
        root_seed=ROOT,
        seeds=range(20),
        rounds=[0, 50],
        purpose=Purpose.FINAL_TEST,
        samples=4,
    )
    exact = expit(paths.w_RFD @ contexts.test_ND.T)
    np.testing.assert_allclose(p, exact.mean(-1), rtol=1e-12)
    z = (correct - 4 * exact.sum(-1)) / np.sqrt(4 * (exact * (1 - exact)).sum(-1))
    assert abs((z**2).sum() - 40) < 4 * np.sqrt(80)
    u = uniforms(ROOT, [3], [17], Purpose.FINAL_TEST, 50, 1, 4)[0, 0]
    one = Contexts(contexts.mu_D, contexts.w0_D, contexts.train_RD[3:4], contexts.test_ND[:18])
    counts = [
        held_out_pass_at_1(
            Contexts(one.mu_D, one.w0_D, one.train_RD, one.test_ND[:n]), paths.w_RFD[3:4, 1:], root_seed=ROOT,
            seeds=[3], rounds=[50], purpose=Purpose.FINAL_TEST, samples=4,
        )[1][0, 0]
        for n in (17, 18)
    ]  # fmt: skip
    assert counts[1] - counts[0] == (u < exact[3, 1, 17]).sum()
