"""Quantiles of the Beta law in compiled loops, accurate in relative terms in the lower tail.

Numba has no incomplete beta function; this one is its continued fraction (modified Lentz). Good for
parameters of at least 1, which is what posteriors of Bernoulli arms have.
"""

import math

from sims.compiled.jit import kernel

TERMS = 1000
TINY = 1e-300
STEPS = 100
PRECISION = 1e-13


@kernel
def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b); converges fast for x < (a + 1)/(a + b + 2)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > TINY else TINY)
    total = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for step in range(2):
            numerator = even if step == 0 else odd
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > TINY else TINY)
            c = 1.0 + numerator / c
            c = c if abs(c) > TINY else TINY
            change = c * d
            total *= change
        if abs(change - 1.0) < 1e-16:
            break
    return total


@kernel
def beta_cdf(a: float, b: float, x: float) -> float:
    """I_x(a, b), the probability that a Beta(a, b) variable is at most x in (0, 1)."""
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


@kernel
def beta_quantile(a: float, b: float, q: float) -> float:
    """The x with I_x(a, b) = q, for a, b >= 1 and q in [0, 1]: Newton's method on log I over log x.

    log I is concave in log x, so steps from the left never overshoot; a bracket catches the others.
    """
    if q <= 0.0:
        return 0.0
    if q >= 1.0:
        return 1.0
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    low, high = -745.0, 0.0
    z = min((math.log(q) + math.log(a) - scale) / a, -PRECISION)
    for _ in range(STEPS):
        x = math.exp(z)
        value = beta_cdf(a, b, x)
        if value < q:
            low = z
        else:
            high = z
        slope = math.exp(scale + a * z + (b - 1.0) * math.log1p(-x)) / value if value > 0.0 else 0.0
        step = math.log(q / value) / slope if slope > 0.0 else math.inf
        if abs(step) < PRECISION:
            return x
        z += step
        if not low < z < high:
            z = 0.5 * (low + high)
    return math.exp(z)
