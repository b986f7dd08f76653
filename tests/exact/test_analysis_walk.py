"""The walk on log-odds against enumeration, and on data whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from support import fits as fixtures

from analysis.fits.likelihood import wald
from analysis.fits.panel import Panel
from analysis.fits.walk import (
    EDGE,
    Mechanisms,
    Start,
    Walk,
    answers,
    carried,
    filtered,
    fit_walk,
    forecast,
    mean_push,
    push,
    seen,
    states,
    step,
    success,
)

STILL = Mechanisms(own="none", transfer=False, diffusion=False, overdispersion=False, start="normal")
TINY = Panel(("a", "b"), np.arange(3.0), np.full((2, 3), 4), np.array([[0, 1, 3], [4, 2, 2]]))
NORMAL = {"centre": 0.3, "spread": 1.2}


def start() -> Start:
    weight_J = np.exp(-0.5 * ((states() - NORMAL["centre"]) / NORMAL["spread"]) ** 2)
    return Start(weight_J / weight_J.sum(), 0.0)


@pytest.mark.parametrize("drift", [0.0, 0.03, 0.17, -0.45])
@pytest.mark.parametrize("sd", [0.08, 0.1, 0.12, 0.3])
def test_a_step_has_its_mean_and_variance(drift, sd):
    kernel_JJ = step(np.full(states().size, drift), sd)
    row = kernel_JJ[states().size // 2]
    mean = row @ states()
    variance = row @ states() ** 2 - mean**2
    f = abs((drift + 0.1) % 0.2 - 0.1)
    least = f * (0.2 - f)  # variance of the two neighbours of an end between them
    assert kernel_JJ.sum(axis=1) == pytest.approx(np.ones(states().size))
    assert mean == pytest.approx(drift, abs=1e-3)
    assert variance == pytest.approx(max(sd**2, least), rel=0.03)


def test_a_step_without_noise_and_drift_stays():
    np.testing.assert_array_equal(step(np.zeros(states().size), 0.0), np.eye(states().size))


def test_a_step_beyond_the_lattice_ends_at_its_edge():
    kernel_JJ = step(np.full(states().size, 3 * EDGE), 0.0)
    assert kernel_JJ[:, -1] == pytest.approx(np.ones(states().size))


@pytest.mark.parametrize("sd", [0.05, 0.5])
def test_messages_go_back_by_the_transpose(sd):
    kernel_JJ = step(np.full(states().size, 0.1), sd)
    belief_IJ = np.random.default_rng(0).random((3, states().size))
    np.testing.assert_allclose(carried(belief_IJ, kernel_JJ, back=False), belief_IJ @ kernel_JJ, rtol=1e-12)
    np.testing.assert_allclose(carried(belief_IJ, kernel_JJ, back=True), belief_IJ @ kernel_JJ.T, rtol=1e-12)


def test_what_was_seen_is_binomial_and_nothing_says_nothing():
    p_J = np.array([0.2, 0.7])
    found = seen(np.array([4, 0, 8]), np.array([1, 0, 8]), p_J, 0.0)
    np.testing.assert_allclose(found[[0, 2]], [stats.binom.pmf(1, 4, p_J), stats.binom.pmf(8, 8, p_J)])
    np.testing.assert_array_equal(found[1], np.ones(2))


def test_overdispersed_answers_are_beta_binomial():
    rho, p = 0.1, 0.3
    size = (1 - rho) / rho
    expected = stats.betabinom.pmf(np.arange(7), 6, p * size, (1 - p) * size)
    np.testing.assert_allclose(answers(6, np.array([p]), rho)[0], expected, rtol=1e-10)


def test_pushes_are_those_of_the_signals():
    S, G = np.arange(9), 8
    np.testing.assert_allclose(push("grpo", G), np.sqrt(S * (G - S) * (G - 1) / G) / G, rtol=1e-5)
    np.testing.assert_allclose(push("centered", G), S * (G - S) / G**2)
    np.testing.assert_allclose(push("rloo", G), push("centered", G) * G / (G - 1))
    np.testing.assert_array_equal(push("grpo", 1), np.zeros(2))


def test_items_that_were_not_measured_push_nothing():
    panel = Panel(("a", "b"), np.arange(2.0), np.array([[4, 0], [4, 4]]), np.array([[2, 0], [4, 1]]))
    u = push("rloo", 4)
    np.testing.assert_allclose(mean_push(panel, "rloo"), [(u[2] + u[4]) / 2, u[1]])


def test_the_likelihood_of_items_that_stand_still_is_a_sum_over_states():
    p_J = np.clip(1 / (1 + np.exp(-states())), 1e-4, 1 - 1e-4)
    by_hand = [
        np.log(start().weight_J @ np.prod([stats.binom.pmf(k, 4, p_J) for k in row], axis=0))
        for row in TINY.correct_IE
    ]
    assert Walk(TINY, STILL).log_likelihood(NORMAL)[0] == pytest.approx(sum(by_hand))


def test_the_likelihood_of_items_that_walk_is_a_product_of_matrices():
    moves = replace(STILL, own="rollouts", transfer=True, fade="none", loading=False, diffusion=True)
    value = NORMAL | {"own": 0.4, "transfer": 0.6, "tilt": 0.1, "diffusion": 0.3}
    walk, total = Walk(TINY, moves), 0.0
    u, shared = push("grpo", 4), [0.0]
    for t in range(2):
        shared.append(shared[-1] + 0.6 * u[TINY.correct_IE[:, t]].mean())
    for row in TINY.correct_IE:
        belief_J = start().weight_J
        for t, k in enumerate(row):
            if t:
                belief_J = belief_J @ step(np.full(states().size, 0.4 * u[row[t - 1]]), 0.3)
            belief_J = belief_J * stats.binom.pmf(k, 4, success(value, 1.0, shared[t]))
        total += np.log(belief_J.sum())
    assert walk.log_likelihood(value)[0] == pytest.approx(total)


def test_random_loadings_of_no_spread_are_fixed_loadings():
    fixed = replace(STILL, transfer=True, fade="none", loading=False, tilt=False)
    value = NORMAL | {"transfer": 0.6}
    random = Walk(TINY, replace(fixed, loading=True)).log_likelihood(value | {"loading": 1e-9})[0]
    assert random == pytest.approx(Walk(TINY, fixed).log_likelihood(value)[0])


def test_a_forecast_of_items_that_stand_still_is_the_posterior_mean():
    p_J = np.clip(1 / (1 + np.exp(-states())), 1e-4, 1 - 1e-4)
    walk = Walk(TINY, STILL)
    found = forecast(walk, NORMAL, start(), np.array([3.0, 7.0]))
    for i, row in enumerate(TINY.correct_IE):
        posterior_J = start().weight_J * np.prod([stats.binom.pmf(k, 4, p_J) for k in row], axis=0)
        assert found[i] == pytest.approx(np.full(2, posterior_J @ p_J / posterior_J.sum()))


def test_beliefs_are_normalised_and_count_the_unreachable():
    belief_CIJ, never_I = filtered(Walk(TINY, STILL), NORMAL, Start(0.5 * start().weight_J, 0.5))
    np.testing.assert_allclose(belief_CIJ.sum(axis=(0, 2)) + never_I, np.ones(2))
    assert never_I.max() < 1e-10  # both were solved at least once


def test_an_item_never_solved_may_be_unreachable():
    panel = Panel(("a",), np.arange(6.0), np.full((1, 6), 8), np.zeros((1, 6), dtype=int))
    _, never_I = filtered(Walk(panel, STILL), NORMAL, Start(0.5 * start().weight_J, 0.5))
    assert never_I[0] > 0.9


def test_own_rollouts_and_their_expectation_agree_on_the_mean():
    rng = np.random.default_rng(3)
    moves = replace(STILL, own="expected")
    panel = fixtures.panel(np.full((4, 2), 0.5), 8, rng)
    walk, value = Walk(panel, moves), NORMAL | {"own": 0.5}
    p_J = success(value, 1.0, 0.0)
    drift_J = walk.expected(value, 1.0, p_J) @ states() - states()
    expected_J = 0.5 * answers(8, p_J, 0.0) @ push("grpo", 8)
    inner = slice(10, -10)
    np.testing.assert_allclose(drift_J[inner], expected_J[inner], atol=1e-6)


def test_missing_entries_are_no_answers():
    n_IE = np.array([[4, 0, 4], [4, 4, 4]])
    gaps = Panel(("a", "b"), np.arange(3.0), n_IE, np.where(n_IE > 0, TINY.correct_IE, 0))
    alone = Panel(("a",), np.array([0.0, 2.0]), np.full((1, 2), 4), TINY.correct_IE[:1, [0, 2]])
    both, one = (Walk(p, STILL).log_likelihood(NORMAL)[0] for p in (gaps, TINY.window(0, 3)))
    first = Walk(alone, STILL).log_likelihood(NORMAL)[0]
    rest = Walk(Panel(("b",), TINY.rounds_E, TINY.n_IE[1:], TINY.correct_IE[1:]), STILL).log_likelihood(
        NORMAL
    )[0]
    assert both == pytest.approx(first + rest)
    assert both > one


def test_parameters_of_a_walk_are_recovered():
    rng = np.random.default_rng(11)
    p_IE = fixtures.walked(500, 14, rng, shift=0.06, tilt=0.2, diffusion=0.15)
    panel = fixtures.panel(p_IE, 8, rng)
    mechanisms = Mechanisms(own="none", loading=False, overdispersion=False, fade="none", start="normal")
    found = fit_walk(panel, mechanisms)
    step_of_truth = 0.06 / mean_push(panel, "grpo").mean()
    for name, truth in {
        "transfer": step_of_truth,
        "tilt": 0.2,
        "diffusion": 0.15,
        "centre": -0.5,
        "spread": 1.5,
    }.items():
        low, high = wald(found.fit, name)
        assert low - 0.01 <= truth <= high + 0.01, (name, low, high)


def test_a_walk_forecasts_a_walk_better_than_a_mean():
    rng = np.random.default_rng(5)
    p_IE = fixtures.walked(200, 16, rng, shift=0.08)
    panel = fixtures.panel(p_IE, 8, rng)
    mechanisms = Mechanisms(own="none", loading=False, overdispersion=False, tilt=False, fade="none")
    found = fit_walk(panel.window(0, 10), mechanisms, errors=False).forecast(panel.rounds_E[10:])
    truth_IT = p_IE[:, 10:]
    still_IT = panel.rates_IE()[:, :10].mean(axis=1, keepdims=True)
    assert np.abs(found.mean(axis=0) - truth_IT.mean(axis=0)).max() < 0.02
    assert ((found - truth_IT) ** 2).mean() < 0.6 * ((still_IT - truth_IT) ** 2).mean()
