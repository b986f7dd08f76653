"""Many arms inside "right" and "wrong": the limit that is simulated against thousands of explicit arms."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from support.contextual_replay import Setting, setting, train

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import ContextualWorld

pytestmark = pytest.mark.slow(20)

ARMS, R, TAU, ROUNDS = 1500, 1500, 0.6, 6
Floats = NDArray[np.float64]
WORLD = ContextualWorld(
    seeds=R, dimension=2, transfer=1.0, alignment=0.5, misalignment=0.6, base_pass_at_1=0.4, arm_noise=TAU
)
CASES: dict[str, dict[str, object]] = {
    "raw": {"optimizer": "sgd", "learning_rate": 0.8},
    "grpo, Adam": {"optimizer": "adam", "learning_rate": 0.2, "signal": "grpo", "rollouts": 3},
    "centered": {"optimizer": "sgd", "learning_rate": 1.5, "signal": "centered", "rollouts": 3},
    "k1": {"optimizer": "sgd", "learning_rate": 0.6, "kl_coef": 0.5, "kl_estimator": "k1"},
    "k2": {"optimizer": "sgd", "learning_rate": 0.8, "kl_coef": 1.0, "kl_estimator": "k2", "rollouts": 2},
    "k3": {"optimizer": "sgd", "learning_rate": 0.8, "kl_coef": 1.0, "kl_estimator": "k3", "rollouts": 2},
}


def log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def signals(design: Design, r: Floats) -> Floats:
    if design.signal == "raw":
        return r
    s = r - r.mean(axis=1, keepdims=True)
    return s / (r.std(axis=1, ddof=1, keepdims=True) + 1e-6) if design.signal == "grpo" else s


def dense(made: Setting, design: Design, seed: int) -> Floats:
    """Final weights (R, 2): each round a softmax over 2 x ARMS arms with features of their own."""
    rng = np.random.default_rng(seed)
    G, u, w = design.rollouts, made.pool.u_PND[:, 0], made.w0_PD.copy()
    m, v = np.zeros_like(w), np.zeros_like(w)
    right_K = np.arange(2 * ARMS) < ARMS
    for t in range(1, design.rounds + 1):
        grad = np.zeros_like(w)
        for rows in np.array_split(np.arange(R), 10):
            features = TAU * rng.standard_normal((len(rows), 2 * ARMS, 2))
            features[:, :ARMS] += u[rows][:, None]
            log_pi = log_softmax(np.einsum("rkd,rd->rk", features, w[rows]))
            pi = np.exp(log_pi)
            points = rng.random((len(rows), G, 1))
            arms = np.stack([(pi.cumsum(axis=1) < points[:, g]).sum(axis=1) for g in range(G)], axis=1)
            arms = np.minimum(arms, 2 * ARMS - 1)
            weights = signals(design, right_K[arms].astype(float))
            log_pi0 = log_softmax(np.einsum("rkd,rd->rk", features, made.w0_PD[rows]))
            d = np.take_along_axis(log_pi0 - log_pi, arms, axis=1)
            weights = (
                weights + design.kl_coef * {"k1": -1.0, "k2": d, "k3": np.exp(d) - 1}[design.kl_estimator]
            )
            mean = np.einsum("rk,rkd->rd", pi, features)
            drawn = np.take_along_axis(features, arms[..., None], axis=1)
            grad[rows] = (weights[..., None] * (drawn - mean[:, None])).mean(axis=1)
        m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
        adam = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + design.adam_eps)
        w = w + design.learning_rate * (adam if design.optimizer == "adam" else grad)
    return w


@pytest.mark.parametrize("case", CASES)
def test_limit_of_many_arms(case: str) -> None:
    fields = {"rounds": ROUNDS, "adam_eps": 1e-3, **CASES[case]}
    made = setting(WORLD, range(R))
    ours = train(made, (ROUNDS,), **fields).w_RFD[:, 0]
    theirs = dense(made, Design(**fields), seed=1)  # type: ignore[arg-type]
    u = made.pool.u_PND[:, 0]
    across = np.stack([-u[:, 1], u[:, 0]], axis=1)
    for direction in (u, across, made.w0_PD):
        a, b = ((w * direction).sum(axis=1) for w in (ours, theirs))
        assert stats.ks_2samp(a, b).pvalue > 1e-3
        assert a.std() > 0.05
    lengths = [np.linalg.norm(w - made.w0_PD, axis=1) for w in (ours, theirs)]
    assert stats.ks_2samp(*lengths).pvalue > 1e-3


def test_noise_of_one_round() -> None:
    """Across u a first step is normal with variance (eta tau)^2 sum s^2/(B G)^2, whatever the answers."""
    made = setting(WORLD, range(4000))
    fields = {"signal": "centered", "rollouts": 4, "batch_size": 3, "optimizer": "sgd", "learning_rate": 0.5}
    paths = train(made, (1,), rounds=1, **fields)
    u = made.pool.u_PND[:, 0]
    across = np.stack([-u[:, 1], u[:, 0]], axis=1) / np.linalg.norm(u, axis=1, keepdims=True)
    step = ((paths.w_RFD[:, 0] - made.w0_PD) * across).sum(axis=1)
    squares = paths.trace.signal_var_RT[:, 0] * 12
    moving = squares > 0
    z = step[moving] / (0.5 * TAU * np.sqrt(squares[moving]) / 12)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert (step[~moving] == 0).all()


def test_noise_leaves_the_mean_step_alone() -> None:
    quiet = setting(WORLD.model_copy(update={"arm_noise": 0.0}), range(4000))
    loud = setting(WORLD, range(4000))
    fields = {"rollouts": 2, "optimizer": "sgd", "learning_rate": 0.5, "rounds": 1}
    steps = [train(made, (1,), **fields).w_RFD[:, 0] - made.w0_PD for made in (quiet, loud)]
    extra = steps[1] - steps[0]
    assert (np.abs(extra.mean(axis=0)) < 4 * extra.std(axis=0) / np.sqrt(4000)).all()
    assert extra.std() > 0.05


def test_several_updates_need_each_arm() -> None:
    with pytest.raises(InputError, match="updates_per_round"):
        train(setting(WORLD, [0]), (1,), rounds=1, learning_rate=0.1, updates_per_round=2)
