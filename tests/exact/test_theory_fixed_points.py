"""Theory §7: fixed points and two-cycles against brute-force iteration, a dense scan and finite differences."""

import math

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import predict
from banditrft.theory.fixed_points import GrpoMap, dr_grpo_fixed_point

SETTINGS = [
    (beta, p_ref, eps)
    for beta in (0.05, 0.5, 1.0, 3.0, 20.0, 100.0)
    for p_ref in (1e-6, 0.001, 0.1, 0.5, 0.9)
    for eps in (1e-5, 1e-3, 0.1)
]


def mroueh(p, beta, p_ref, eps):
    """h(p) from the paper's weights: odds_ref * exp((w+ + w-)/beta)."""
    std = math.sqrt(p * (1 - p) + eps)
    odds = p_ref / (1 - p_ref) * math.exp(((1 - p) / std + p / std) / beta)
    return odds / (1 + odds)


@pytest.mark.parametrize("p", [0.001, 0.2, 0.5, 0.97])
def test_map_is_the_papers(p):
    assert GrpoMap(2.0, 0.1, 1e-4).next_pass_at_1(p) == pytest.approx(mroueh(p, 2.0, 0.1, 1e-4), rel=1e-12)


@pytest.mark.parametrize("setting", SETTINGS)
def test_all_fixed_points_and_no_others(setting):
    """A dense scan over log-odds counts the sign changes of f(l) - l; every fixed point returns to itself."""
    grpo = GrpoMap(*setting)
    points = grpo.fixed_points()
    for point in points:
        assert grpo.next_log_odds(point.log_odds) == pytest.approx(point.log_odds, abs=1e-9)
    beta, p_ref, eps = setting
    start = math.log(p_ref / (1 - p_ref))
    grid = np.unique(
        np.r_[
            np.linspace(start, 40.0, 40001), np.linspace(40.0, start + 1 / (beta * math.sqrt(eps)) + 2, 2001)
        ]
    )
    p = 1 / (1 + np.exp(-grid))
    variance = p / (1 + np.exp(grid.clip(max=700)))
    excess = start + (variance + eps) ** -0.5 / beta - grid
    crossings = np.flatnonzero(excess[:-1] * excess[1:] < 0)
    assert len(points) == len(crossings)
    for point, at in zip(points, crossings, strict=True):
        assert grid[at] - 1e-9 <= point.log_odds <= grid[at + 1] + 1e-9


def test_three_fixed_points_occur_the_middle_one_unstable():
    worst, middle, best = GrpoMap(20.0, 0.9, 1e-5).fixed_points()
    assert worst.p < middle.p < best.p
    assert (worst.stable, middle.stable, best.stable) == (True, False, True)
    assert middle.multiplier > 1
    for side, end in ((-1e-3, worst), (1e-3, best)):
        start = 1 / (1 + math.exp(-(middle.log_odds + side)))
        assert GrpoMap(20.0, 0.9, 1e-5).iterate(start, 2000)[-1] == pytest.approx(end.p, rel=1e-9)


@pytest.mark.parametrize(
    "setting", [(3.0, 0.001, 1e-5), (1.0, 0.1, 1e-3), (20.0, 0.9, 1e-5), (5.0, 0.02, 1e-2)]
)
def test_multiplier_is_the_maps_derivative(setting):
    for point in GrpoMap(*setting).fixed_points():
        p = point.p
        if 1 - p < 1e-4:
            continue  # a finite difference in p has no digits left there
        h = 1e-5 * min(p, 1 - p)
        difference = (mroueh(p + h, *setting) - mroueh(p - h, *setting)) / (2 * h)
        assert point.multiplier == pytest.approx(difference, rel=1e-5)
        beta, _, eps = setting
        variance = p * (1 - p)
        closed = variance * (2 * p - 1) / (2 * beta * (variance + eps) ** 1.5)
        assert point.multiplier == pytest.approx(closed, rel=1e-9)


def test_two_cycle_of_section_7():
    grpo = GrpoMap(3.0, 0.001, 1e-5)
    # below p = 1/2 there is one fixed point; above, an unstable one guards a stable one at (almost) 1
    point, guard, top = grpo.fixed_points()
    assert point.p == pytest.approx(0.0151, abs=5e-5)
    assert (point.stable, guard.stable, top.stable) == (False, False, True)
    assert guard.p == pytest.approx(0.99948, abs=5e-6)
    assert grpo.iterate(0.9996, 400)[-1] == pytest.approx(1.0)
    assert grpo.iterate(1e-4, 400)[-1] == pytest.approx(1.0)  # a worse start jumps over the guard
    (cycle,) = grpo.two_cycles()
    assert cycle.p == pytest.approx((0.002, 0.633), abs=5e-4)
    assert cycle.multiplier == pytest.approx(-0.34, abs=5e-3)
    assert cycle.attracting
    for start in (0.01, 0.0152, 0.3, 0.99):
        end = [float(p) for p in grpo.iterate(start, 400)[-2:]]
        assert sorted(end) == pytest.approx(cycle.p, rel=1e-9)


@pytest.mark.parametrize("setting", SETTINGS)
def test_cycles_against_iteration_from_everywhere(setting):
    """Whatever period-two orbit the iteration falls into is listed as attracting, and the listed ones are orbits."""
    grpo = GrpoMap(*setting)
    cycles = grpo.two_cycles()
    for cycle in cycles:
        assert cycle.low < cycle.high
        assert grpo.next_log_odds(cycle.high) == pytest.approx(cycle.low, abs=1e-8)
        a, b, h = *cycle.p, 1e-6
        if 1 - b > 1e-4:
            twice = [mroueh(mroueh(a * (1 + s), *setting), *setting) for s in (h, -h)]
            assert cycle.multiplier == pytest.approx((twice[0] - twice[1]) / (2 * h * a), rel=1e-4, abs=1e-8)
    for start in (1e-4, 0.05, 0.4, 0.7, 0.99):
        path = [math.log(start / (1 - start))]
        for _ in range(800):
            path.append(grpo.next_log_odds(path[-1]))
        last, before, earlier = path[-1], path[-2], path[-3]
        if abs(last - earlier) < 1e-9 and abs(last - before) > 1e-3:
            known = [cycle for cycle in cycles if cycle.attracting]
            assert any(sorted((last, before)) == pytest.approx((c.low, c.high), abs=1e-6) for c in known)
        elif abs(last - before) < 1e-9:
            assert any(p.log_odds == pytest.approx(last, abs=1e-6) and p.stable for p in grpo.fixed_points())


def test_period_doubling_makes_a_small_cycle_below_one_half():
    """Just past multiplier -1 the iteration oscillates around an unstable point; before it, it settles."""
    betas = np.linspace(2.0, 40.0, 150)
    multipliers = [GrpoMap(beta, 1e-3, 1e-3).fixed_points()[0].multiplier for beta in betas]
    past = [beta for beta, now in zip(betas, multipliers, strict=True) if now < -1]
    assert past  # otherwise the test says nothing
    for beta, now in zip(betas, multipliers, strict=True):
        grpo = GrpoMap(float(beta), 1e-3, 1e-3)
        if now < -1:
            assert grpo.two_cycles()


def test_extreme_values_have_finite_answers():
    for beta, eps in ((1.0, 1e-300), (1e-10, 1e-10), (1e10, 1e10), (1e-3, 1e-100)):
        points = GrpoMap(beta, 0.1, eps).fixed_points()
        assert 1 <= len(points) <= 3
        assert all(math.isfinite(point.log_odds) and math.isfinite(point.multiplier) for point in points)


def test_dr_grpo_arrives_in_one_step():
    p = dr_grpo_fixed_point(0.5, 0.1)
    assert p == pytest.approx(0.1 * math.exp(2) / (0.1 * math.exp(2) + 0.9))
    # the maximiser of p - beta KL(Bernoulli(p), Bernoulli(p_ref)), the reward being its own advantage up to a constant
    grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
    value = grid - 0.5 * (grid * np.log(grid / 0.1) + (1 - grid) * np.log((1 - grid) / 0.9))
    assert grid[np.argmax(value)] == pytest.approx(p, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0.0, 0.1, 1e-5), "beta"),
        ((1.0, 1.0, 1e-5), "p_ref"),
        ((1.0, 0.1, 0.0), "eps"),
        ((math.nan, 0.1), "beta"),
        ((1e-150, 0.1, 1e-150), "beta"),
    ],
)
def test_bad_values_are_named(arguments, name):
    with pytest.raises(InputError, match=f"^{name}"):
        GrpoMap(*arguments)
    if name != "eps" and arguments[1:] != (0.1, 1e-150):
        with pytest.raises(InputError, match=f"^{name}"):
            dr_grpo_fixed_point(*arguments[:2])


def test_bad_starts_are_named():
    with pytest.raises(InputError, match=r"^p:"):
        GrpoMap(1.0, 0.1).iterate(0.0, 3)
    with pytest.raises(InputError, match=r"^iterations"):
        GrpoMap(1.0, 0.1).iterate(0.5, -1)


def test_a_prediction_says_where_a_penalty_would_hold_pass_at_1() -> None:
    """Centred rewards shift the log-odds by 1/beta: sigmoid(logit .1 + 1/.5) = .451; grpo by Omega/beta, solved here."""
    centred = {"signal": "centered", "rollouts": 4, "learning_rate": 0.1, "rounds": 10, "kl_coef": 0.5}
    (said,) = [n for n in predict(Design(**centred), p0=0.1).notes if n.startswith("kl_coef")]
    assert "would rest at 0.451 " in said
    (said,) = [
        n for n in predict(Design(**centred | {"signal": "grpo", "kl_coef": 1.0}), p0=0.1).notes if "kl" in n
    ]
    p = 0.4531
    assert math.log(p / (1 - p)) == pytest.approx(math.log(1 / 9) + 1 / math.sqrt(p * (1 - p)), abs=1e-3)
    assert f"would rest at {p:.3g} " in said
    assert not any("would" in n for n in predict(Design(**centred | {"kl_coef": 0.0}), p0=0.1).notes)
