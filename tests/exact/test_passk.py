"""pass@k against enumeration of every subset, and intervals against their definition."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from banditrft.errors import InputError
from banditrft.passk import interval, pass_at_k, wilson


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_the_fraction_of_subsets_with_a_success(n):
    for c in range(n + 1):
        right = [i < c for i in range(n)]
        for k in range(1, n + 1):
            subsets = list(combinations(right, k))
            expected = sum(any(s) for s in subsets) / len(subsets)
            assert pass_at_k([n], [c], k)[0] == pytest.approx(expected, abs=1e-14)


def test_golden_value():
    # 1 - C(7,5)/C(10,5) = 1 - 21/252
    assert pass_at_k([10], [3], 5)[0] == pytest.approx(1 - 21 / 252, abs=1e-15)


def test_large_counts_stay_in_range():
    values = pass_at_k([100_000] * 3, [0, 1, 100_000], 1000)
    np.testing.assert_allclose(values, [0, 0.01, 1], atol=1e-12)


@pytest.mark.parametrize(("n", "c"), [(512, 495), (64, 10), (7, 3)])
def test_bounds_solve_the_tail_equations(n, c):
    low, high = (bound[0] for bound in interval([n], [c]))
    assert stats.binom.sf(c - 1, n, low) == pytest.approx(0.025, rel=1e-9)
    assert stats.binom.cdf(c, n, high) == pytest.approx(0.025, rel=1e-9)


def test_bounds_at_the_edges_and_for_k():
    low, high = interval([20, 20], [0, 20])
    assert low[0] == 0
    assert high[1] == 1
    one, three = interval([20], [5], 1), interval([20], [5], 3)
    assert three[0][0] == pytest.approx(1 - (1 - one[0][0]) ** 3)
    assert three[1][0] == pytest.approx(1 - (1 - one[1][0]) ** 3)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_bad_counts_are_refused(n, c, k):
    with pytest.raises(InputError, match=r"k:|c:"):
        pass_at_k([n], [c], k)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (10, 3), (4, 1), (1319, 700), (10**6, 1)])
def test_wilson_is_scipys(n, c, confidence):
    low, high = (float(bound[0]) for bound in wilson([n], [c], confidence))
    theirs = stats.binomtest(c, n).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), rel=1e-12, abs=1e-15)


def test_wilson_golden_value():
    # c = n/2: 1/2 -+ z/(2 sqrt(n + z^2)); n = 100, z^2 = 3.8414588: 1/2 -+ 1.959964/20.380526 = 1/2 -+ 0.0961685
    low, high = (bound[0] for bound in wilson([100], [50]))
    assert (low, high) == pytest.approx((0.4038315, 0.5961685), abs=1e-6)


def test_wilson_without_trials_and_with_impossible_counts():
    assert [bound.tolist() for bound in wilson([0], [0])] == [[0.0], [1.0]]
    with pytest.raises(InputError, match=r"c: successes must lie in 0\.\.n"):
        wilson([3], [4])
