"""The sequence bandit's closed forms against enumeration of every response, and against its own limits."""

import itertools
import json
import math
import time

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expi, expit
from support.cli import banditrft

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import predict_sequence
from banditrft.signals import signal
from banditrft.theory.hitting import hitting_law
from banditrft.theory.matching import matched_law
from banditrft.theory.sequence import (
    Positions,
    baseline_cost,
    crossing,
    flow_time,
    gradients,
    rounds_with_wait,
    sequence_law,
    sequence_mean_field,
    speed,
)
from banditrft.worlds import SequenceWorld

SIGNALS = ["raw", "centered", "grpo", "rloo", "gpg", "reinforce-plus-plus", "batch-centered"]


def design(**fields):
    return Design.model_validate({"learning_rate": 0.1, "optimizer": "adam", "rounds": 10} | fields)


def enumerated(setup, profile, options, *, tree):
    """E g and E g^2 of every logit, over all responses and rewards of a group; right is option 0."""
    T, G = len(profile), setup.rollouts
    pi_TV = np.array([[q] + [(1 - q) / (options - 1)] * (options - 1) for q in profile])
    rewards = {"zero-one": (0.0, 1.0), "minus-one-zero": (-1.0, 0.0), "noisy": (0.0, 1.0)}[setup.reward]
    outcomes = []  # probability, reward, gradient (T, V)
    for response in itertools.product(range(options), repeat=T):
        chance = math.prod(pi_TV[t, v] for t, v in enumerate(response))
        grads = np.zeros((T, options))
        for t, v in enumerate(response):
            grads[t] = np.eye(options)[v] - pi_TV[t]
            if tree and v != 0:
                break
        right = not any(response)
        high = 1 - setup.false_negative if right else setup.false_positive
        if setup.reward != "noisy":
            high = float(right)
        outcomes += [(chance * high, rewards[1], grads), (chance * (1 - high), rewards[0], grads)]
    outcomes = [o for o in outcomes if o[0] > 0]
    mean, second = np.zeros((T, options)), np.zeros((T, options))
    for group in itertools.product(outcomes, repeat=G):
        chance = math.prod(o[0] for o in group)
        signals = signal(setup, np.array([[[o[1] for o in group]]]))[0, 0]
        g = sum(s * o[2] for s, o in zip(signals, group, strict=True)) / G
        mean += chance * g
        second += chance * g**2
    return mean, second


@pytest.mark.parametrize("tree", [False, True], ids=["positions", "tree"])
@pytest.mark.parametrize("reward", ["zero-one", "minus-one-zero", "noisy"])
@pytest.mark.parametrize("name", SIGNALS)
def test_moments_are_those_of_all_responses(name, reward, tree):
    noise = {"false_positive": 0.2, "false_negative": 0.1} if reward == "noisy" else {}
    setup = design(signal=name, reward=reward, rollouts=3, **noise)
    profile, options = [0.6, 0.35], 3
    positions = Positions.of(profile, options=options, table=True, tree=tree)
    found = gradients(matched_law(setup, positions.pass_at_1), positions)
    mean, second = enumerated(setup, profile, options, tree=tree)
    np.testing.assert_allclose(found.mean_T, mean[:, 0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.second_T, second[:, 0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.wrong_mean_T, mean[:, 1], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.wrong_second_T, second[:, 1], rtol=1e-10, atol=1e-13)


def test_a_baseline_leaves_the_drift():
    positions = Positions.of([0.9, 0.8, 0.5])
    w = expit(-positions.gap_T)
    for name, rollouts in (("raw", 1), ("raw", 8), ("rloo", 8)):
        law = matched_law(design(signal=name, rollouts=rollouts), positions.pass_at_1)
        np.testing.assert_allclose(gradients(law, positions).mean_T, 0.36 * w, rtol=1e-12)


def test_noise_multiplies_the_drift_by_j():
    positions = Positions.of([0.9, 0.8, 0.5])
    setup = design(reward="noisy", false_positive=0.15, false_negative=0.25)
    mean = gradients(matched_law(setup, positions.pass_at_1), positions).mean_T
    np.testing.assert_allclose(mean, 0.6 * 0.36 * expit(-positions.gap_T), rtol=1e-12)


@pytest.mark.parametrize("rollouts", [2, 4, 32])
@pytest.mark.parametrize(("length", "p"), [(1, 0.3), (2, 0.05), (8, 0.3), (100, 0.7)])
def test_cost_of_a_baseline(length, p, rollouts):
    positions = Positions.equal(p, length)
    q = float(expit(positions.gap_T[0]))
    squares = [
        gradients(matched_law(design(signal=name, rollouts=rollouts), p), positions)
        for name in ("raw", "rloo")
    ]
    raw, rloo = (float(g.second_T[0] / g.mean_T[0] ** 2) for g in squares)
    assert rloo - raw == pytest.approx(baseline_cost(q, p, rollouts), rel=1e-9, abs=1e-9)
    assert raw == pytest.approx(1 + (1 - p) / (p * rollouts), rel=1e-10)


def test_crossing_is_where_speeds_are_equal():
    q, p = 0.5, 0.125  # three equal positions
    positions, at = Positions.equal(p, 3), crossing(q, p)
    for rollouts in (math.floor(at), math.ceil(at)):
        raw, rloo = (
            speed(matched_law(design(signal=name, rollouts=rollouts), p), positions)
            for name in ("raw", "rloo")
        )
        assert (rloo > raw) == (rollouts > at)
    assert crossing(0.9, 0.5) == math.inf


def raw_over_rloo(positions, rollouts=2):
    """Ratio of speeds under Adam at a frozen policy."""
    raw, rloo = (
        speed(matched_law(design(signal=name, rollouts=rollouts), positions.pass_at_1), positions)
        for name in ("raw", "rloo")
    )
    return raw / rloo


def test_certain_positions_do_not_count():
    assert Positions.equal(0.3, 24).effective_length == pytest.approx(24)
    assert Positions.of([0.5, 0.6] + [0.9999] * 50).effective_length == pytest.approx(2, rel=0.05)
    mixed = Positions.of([0.97] * 20 + [0.6] * 2)
    assert mixed.effective_length == pytest.approx(7.4, abs=0.05)
    lower, upper = (raw_over_rloo(Positions.equal(mixed.pass_at_1, length)) for length in (7, 8))
    assert raw_over_rloo(mixed) == pytest.approx(2.10, abs=0.005)
    assert lower + 0.38 * (upper - lower) == pytest.approx(2.05, abs=0.005)


def test_many_tokens_make_the_cost_the_square_root():
    """T -> infinity at G = c T/u: raw over RLOO is sqrt(1 + 1/c)."""
    length, p, c = 2_048, 0.3, 2.0
    rollouts = round(c * length / -math.log(p))
    positions = Positions.equal(p, length)
    raw, rloo = (
        speed(matched_law(design(signal=name, rollouts=rollouts), p), positions) for name in ("raw", "rloo")
    )
    assert raw / rloo == pytest.approx(math.sqrt(1 + 1 / c), rel=3e-3)


def test_one_position_is_the_bandit_of_one_choice():
    found = sequence_law(Positions.equal(0.05, 1, options=50, table=True), 0.4, 0.95)
    assert found.mean == pytest.approx(hitting_law(0.05, 0.4 * 50 / 49, 0.95).mean, rel=1e-12)


def test_ladder_is_the_plain_sum():
    gaps, waits = np.full(8, math.log(0.1 ** (1 / 8) / (1 - 0.1 ** (1 / 8)))), []
    while np.prod(expit(gaps)) < 0.9:
        waits.append(1 / np.prod(expit(gaps)))
        gaps = gaps + expit(-gaps)
    assert sequence_law(Positions.equal(0.1, 8), 1.0, 0.9).mean == pytest.approx(sum(waits), rel=1e-12)


@pytest.mark.parametrize("profile", [[0.5] * 6, [0.99, 0.3, 0.6, 0.9]], ids=["equal", "unequal"])
def test_ladder_is_the_law_of_a_plain_loop(profile):
    rng, seeds, lr = np.random.default_rng(3), 4_000, 0.7
    gaps = np.tile(np.log(np.array(profile) / (1 - np.array(profile))), (seeds, 1))
    hit, t = np.full(seeds, -1), 0
    while (hit < 0).any():
        t += 1
        q = expit(gaps)
        right = (rng.random(q.shape) < q).all(axis=1)
        gaps += lr * right[:, None] * (1 - q)
        reached = np.prod(expit(gaps), axis=1) >= 0.8
        hit[(hit < 0) & reached] = t
    law = sequence_law(Positions.of(profile), lr, 0.8)
    assert abs(hit.mean() - law.mean) < 4 * law.sd / math.sqrt(seeds)
    assert hit.std() == pytest.approx(law.sd, rel=0.06)


def test_flow_of_long_responses_is_the_exponential_integral():
    """T -> infinity, kappa = eta/T: kappa t = [Ei(x) - e^x/x] from u to u0; from .1 to .9, kappa = .01: 1393.3."""

    def primitive(u):
        return expi(u) - math.exp(u) / u

    limit = (primitive(-math.log(0.1)) - primitive(-math.log(0.9))) / 0.01
    assert limit == pytest.approx(1393.3, abs=0.05)
    assert flow_time(Positions.equal(0.1, 4_096), 40.96, 0.9) == pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("profile", [[0.3], [0.5] * 6, [0.99, 0.3, 0.6, 0.9]])
def test_flow_is_the_ladder_of_small_steps(profile):
    positions = Positions.of(profile)
    assert sequence_law(positions, 1e-3, 0.95).mean == pytest.approx(
        flow_time(positions, 1e-3, 0.95), rel=2e-3
    )


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize(("name", "rollouts"), [("raw", 1), ("rloo", 4), ("grpo", 8)])
def test_recursion_is_the_plain_loop_of_moments(name, rollouts, tree):
    """Adam's recursion on T unequal gaps, written out."""
    setup = design(signal=name, rollouts=rollouts, learning_rate=0.05)
    positions = Positions.of([0.8, 0.8, 0.6], tree=tree)
    law, gaps = matched_law(setup, positions.pass_at_1), positions.gap_T.copy()
    m, v, expected = np.zeros(3), np.zeros(3), [positions.pass_at_1]
    for t in range(1, 31):
        found = gradients(law, positions, gaps)
        m, v = 0.9 * m + 0.1 * found.mean_T, 0.999 * v + 0.001 * found.second_T
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + setup.adam_eps)
        gaps = gaps + 0.05 * step
        expected.append(float(np.prod(expit(gaps))))
    path = sequence_mean_field(setup, positions, rounds=30)
    np.testing.assert_allclose(path.pass_at_1_T, expected, rtol=1e-9)


def simulated(setup, positions, target, *, seeds, rng):
    """Rounds to a Pass@1 of plain runs, one gap a position under Adam."""
    gaps, hit = np.tile(positions.gap_T, (seeds, 1)), np.zeros(seeds, dtype=int)
    m, v, t = np.zeros_like(gaps), np.zeros_like(gaps), 0
    while (hit == 0).any():
        t += 1
        q = expit(gaps)[:, None, :]
        right = rng.random((seeds, setup.rollouts, len(positions))) < q
        rewards = right.all(axis=2).astype(float)
        signals = signal(setup, rewards[:, None, :])[:, 0, :]
        g = np.einsum("rg,rgt->rt", signals, right - q) / setup.rollouts
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + setup.adam_eps)
        gaps = gaps + setup.learning_rate * step
        hit[(hit == 0) & (np.prod(expit(gaps), axis=1) >= target)] = t
    return hit


@pytest.mark.parametrize("name", ["raw", "rloo"])
def test_recursion_is_near_whole_runs(name):
    """RLOO takes 1.9 times raw's rounds at T = 6, G = 4, from .3 to .9; at a frozen policy 2.3."""
    setup = design(signal=name, rollouts=4, learning_rate=0.05)
    positions = Positions.equal(0.3, 6)
    hit = simulated(setup, positions, 0.9, seeds=64, rng=np.random.default_rng(5))
    path = sequence_mean_field(setup, positions, target=0.9)
    assert path.rounds_to(0.9) == pytest.approx(hit.mean(), rel=0.04)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Positions.equal(0.0, 4), "p0"),
        (lambda: Positions.equal(0.5, 5_000), "tokens"),
        (lambda: Positions.of([]), "profile"),
        (lambda: Positions.of([0.5, 1.0]), "profile"),
        (lambda: Positions.of([0.5], options=1), "vocabulary"),
        (lambda: sequence_mean_field(design(kl_coef=0.1), Positions.equal(0.5, 2)), "kl_coef"),
    ],
)
def test_errors_name_the_argument(make, said):
    with pytest.raises(InputError, match=said):
        make()


def predicted(tmp_path, *flags):
    return json.loads(banditrft("predict", *flags, "--json", cwd=tmp_path).stdout)


def test_predict_gives_the_ladder(tmp_path):
    where = ["--p0", 0.1, "--tokens", 8, "--geometry", "direction"]
    how = ["--rollouts", 1, "--signal", "raw", "--optimizer", "sgd", "--learning-rate", 1.0, "--target", 0.9]
    found = predicted(tmp_path, *where, *how)
    q = 0.1 ** (1 / 8)
    gap, waits = math.log(q / (1 - q)), []
    while expit(gap) ** 8 < 0.9:
        waits.append(expit(gap) ** -8)
        gap += expit(-gap)
    assert found["mean_rounds"] == pytest.approx(sum(waits), rel=1e-9)
    assert found["method"] == "exact"


def test_predict_reads_a_profile_and_a_study(tmp_path):
    (tmp_path / "profile.txt").write_text("0.9 0.35\n0.7, 0.8")
    flags = ["--learning-rate", 0.05, "--rollouts", 4, "--signal", "rloo", "--optimizer", "adam"]
    found = predicted(tmp_path, "--profile", "profile.txt", "--tree", *flags)
    setup = design(signal="rloo", rollouts=4, learning_rate=0.05)
    positions = Positions.of([0.9, 0.35, 0.7, 0.8], tree=True)
    assert found["mean_rounds"] == pytest.approx(rounds_with_wait(setup, positions, 0.99))
    (tmp_path / "s.toml").write_text(
        'name = "s"\nseeds = 1\n[design]\nlearning_rate = 0.05\nrounds = 5\nrollouts = 4\nsignal = "rloo"\n'
        'optimizer = "adam"\n[[conditions]]\nname = "a"\n[[sim]]\nworld = "sequence"\nseeds = 1\n'
        'profile = [0.9, 0.35, 0.7, 0.8]\nprefixes = "tree"\n'
    )
    (cell,) = predicted(tmp_path, "s.toml")["cells"]
    assert cell["mean_rounds"] == found["mean_rounds"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--p0", 0.1, "--tree"], "--tree: belongs to --tokens or --profile"),
        (["--p0", 0.1, "--tokens", 4, "--num-arms", 9], "--num-arms: belongs to the tabular world"),
        (["--p0", 0.1, "--tokens", 4, "--contextual"], "--contextual: belongs to another world"),
        (["--tokens", 4], "tokens: is required with base_pass_at_1"),
        (["--p0", 0.1, "--tokens", 0], "tokens"),
        (["--profile", "gone.txt"], "--profile: gone.txt: cannot be read"),
        (["--p0", 0.1, "--tokens", 4, "--kl-coef", 0.1], "kl_coef: the sequence bandit's closed forms cover"),
    ],
)
def test_predict_names_the_flag(tmp_path, flags, said):
    done = banditrft("predict", *flags, "--learning-rate", 0.1, cwd=tmp_path, code=2)
    assert said in done.stderr


@pytest.mark.parametrize("fields", [{}, {"signal": "rloo", "rollouts": 4}, {"signal": "grpo", "rollouts": 4}])
def test_a_base_above_the_target_is_there_at_round_0(fields):
    assert rounds_with_wait(design(**fields), Positions.equal(0.995, 8), 0.99) == 0.0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("rate", [1e6, 1e99])
@pytest.mark.parametrize("places", [{}, {"tree": True}, {"table": True}])
def test_giant_steps_arrive_at_once(optimizer, rate, places):
    """One success and the policy never fails again: 1/p rounds, a curve that ends at 1, no warning."""
    found = predict_sequence(
        design(optimizer=optimizer, learning_rate=rate, rounds=90),
        Positions.equal(0.3, 24, **places),
        target=0.99,
    )
    assert found.mean_rounds == pytest.approx(1 / 0.3)
    assert found.curve["pass_at_1"][-1] == pytest.approx(1.0)


def test_rates_and_profiles_beyond_doubles_are_refused():
    with pytest.raises(InputError, match=r"learning_rate: closed forms cover at most 1e\+100"):
        rounds_with_wait(design(learning_rate=1e101), Positions.equal(0.3, 4), 0.9)
    with pytest.raises(InputError, match="weight_decay: times learning_rate must be below 1"):
        rounds_with_wait(design(optimizer="adamw", weight_decay=1000.0), Positions.equal(0.3, 4), 0.9)
    with pytest.raises(InputError, match="profile: its product, the base Pass@1, must be at least 1e-300"):
        Positions.of([1e-200, 1e-200])
    with pytest.raises(ValidationError, match="profile: its product, the base Pass@1, must be at least"):
        SequenceWorld(seeds=1, profile=(1e-200, 1e-200))


def test_a_ladder_of_billions_is_refused_at_once():
    began = time.process_time()
    with pytest.raises(InputError, match="takes over 2,000,000 successes"):
        sequence_law(Positions.equal(0.3, 24), 1e-12, 0.99)
    assert time.process_time() - began < 0.5


def test_ages_of_adam_that_differ_in_nothing_are_followed_once():
    """At 1e-12 the first lesson comes after 10^12 rounds: no block of its law is another path than the rest."""
    found = rounds_with_wait(design(), Positions.equal(1e-12, 24), 0.99)
    arrival = sequence_mean_field(design(), Positions.equal(1e-12, 24), target=0.99, lesson=10**9)
    assert found == pytest.approx(1e12 - 1.0 + arrival.rounds_to(0.99), rel=1e-9)


@pytest.mark.parametrize("p0", [1e-3, 1e-6, 1e-12, 1e-17])
def test_quantiles_of_a_ladder_whose_first_wait_is_nearly_all(p0):
    """With steps of 3 the wait for the first success is geometric, -log(1-level)/p0; the rest is 950 rounds."""
    law = sequence_law(Positions.equal(p0, 24), 3.0, 0.99)
    levels = [0.05, 0.5, 0.95]
    wanted = [-math.log1p(-level) / p0 + law.mean - 1 / p0 for level in levels]
    assert len(law.log_odds_N) > 400
    assert law.quantiles(levels) == pytest.approx(wanted, abs=0.01 * law.sd)
