"""Data with a known truth for the calibration runs, and the rule that a rate must meet."""

import numpy as np

from analysis.inference.times import HittingTimes

SEEDS = (5, 8, 16, 32)
SETS = 2000
LEVEL = 0.95
TAIL = 0.025
WORST = 0.03  # an approximate interval that undercovers by more is refused


def standard(rng, shape, law):
    """Values of mean 0 and variance 1: normal, skewed (a gamma of shape 2) or heavy-tailed (t with 5)."""
    if law == "normal":
        return rng.standard_normal(shape)
    if law == "skewed":
        return (rng.gamma(2, 1, shape) - 2) / np.sqrt(2)
    return rng.standard_t(5, shape) / np.sqrt(5 / 3)


def pairs(rng, n, correlation, law="normal"):
    """Two groups of n standard values, correlated as shared random streams make them."""
    own, shared = standard(rng, (2, n), law)
    return np.sqrt(1 - correlation**2) * own + correlation * shared, shared


def on_grid(t, horizon, step):
    """Times seen on an evaluation grid and censored at the horizon."""
    upper = np.ceil(t / step) * step
    hit = upper <= horizon
    return HittingTimes(np.where(hit, upper - step, horizon), np.where(hit, upper, np.inf), horizon, step)


def times(rng, n, queries, ratio, median, horizon, correlation, sd=0.4, step=5.0):
    """Log-normal times of n pairs over queries of different difficulty; query of each pair last."""
    query = np.arange(n) % queries
    scale = median * np.exp(np.linspace(-0.4, 0.4, queries))[query] if queries > 1 else np.full(n, median)
    a, b = rng.standard_normal((2, n))
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    slow, fast = scale * np.exp(sd * a), scale / ratio * np.exp(sd * b)
    return on_grid(slow, horizon, step), on_grid(fast, horizon, step), query


def covered(rate):
    """Whether a coverage is good enough: nominal where exact, at most 3 points below otherwise."""
    return rate.rate >= rate.nominal - (0 if rate.exact else WORST) - 3 * rate.error


def held(rate, slack=0.0):
    """Whether an error rate is at most nominal, within Monte Carlo error."""
    return rate.rate <= rate.nominal + slack + 3 * rate.error
