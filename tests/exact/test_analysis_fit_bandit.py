"""The fitted bandit's likelihood: paths that follow from rollouts, exact laws, and the mean field's error."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from support import bandit

from analysis.fits.bandit_data import counts_of_runs, known_gain
from analysis.fits.bandit_likelihood import Model, Surface, ladder, surface
from analysis.fits.bandit_prediction import draw_runs, statistics
from analysis.fits.bandit_query import fit_query
from analysis.fits.likelihood import binomial
from banditrft.records import EVALS, read_table
from banditrft.theory.adam import mean_field
from banditrft.theory.hitting import mean_curve
from banditrft.worlds import LLMWorld

RUNS = 6


def model(condition, world="lumped", runs=RUNS):
    records = bandit.bandits()
    cell = records.of(world)[condition]
    return cell, Model.of(cell.world, counts_of_runs(records, cell, 0, runs), cell.base[0])


def exact_log_odds(condition, world, runs=RUNS):
    """The simulator's own Pass@1 at the evaluations, as log-odds, (R, E)."""
    records = bandit.bandits()
    described = next(c for c in records.study["cells"] if (c["world"], c["condition"]) == (world, condition))
    table = read_table(records.path / described["runs"][0] / "evals.parquet", EVALS)
    rows = table.filter((table["split"] == "train") & (table["seed"] < runs)).sort("seed", "round")
    p = rows["p_exact"].to_numpy().reshape(runs, -1)
    return np.log(p) - np.log1p(-p)


@pytest.mark.parametrize("condition", ["G=1", "G=4", "G=1, SGD"])
def test_a_tabular_run_follows_from_its_own_rollouts_exactly(condition):
    """One correct arm, raw {0,1} reward: nothing is approximated, under SGD or Adam with its eps."""
    cell, known = model(condition)
    step = math.log(known_gain(cell.world, cell.design) * cell.design.learning_rate)
    path_RE = known.paths(math.log(0.2 / 0.8), np.full(RUNS, step))
    assert path_RE[:, :-1] == pytest.approx(exact_log_odds(condition, "lumped"), abs=1e-6)


@pytest.mark.parametrize("condition", ["G=1", "GRPO", "G=1, SGD"])
def test_a_contextual_run_follows_from_its_rollouts_and_one_number(condition):
    """The gain of a run's own query is read off its last evaluation; all earlier ones must then agree."""
    cell, known = model(condition, "contextual")
    wanted = exact_log_odds(condition, "contextual")
    start = math.log(known_gain(cell.world, cell.design) * cell.design.learning_rate)
    steps = start + np.linspace(-0.6, 0.6, 601)
    ends = np.stack([known.paths(math.log(0.2 / 0.8), np.full(RUNS, s))[:, -1] for s in steps], axis=1)
    own = np.array([np.interp(wanted[r, -1], ends[r], steps) for r in range(RUNS)])
    tolerance = 5e-3 if cell.design.optimizer == "sgd" else 2e-2  # Adam's features differ in size, eps aside
    assert known.paths(math.log(0.2 / 0.8), own)[:, :-1] == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("condition", ["G=4", "GRPO"])
def test_a_language_model_of_arms_is_the_tabular_bandit(condition):
    _, tabular = model(condition)
    known = Model.of(LLMWorld(model="tiny-qwen2", seeds=1), tabular.counts, 0.2, "arms")
    steps = np.full(RUNS, math.log(0.2))
    assert known.paths(-1.4, steps) == pytest.approx(tabular.paths(-1.4, steps), abs=1e-2)  # it has no eps


def test_only_signals_that_push_wrong_answers_down_tell_arms_from_a_shared_direction():
    gap = {}
    for condition in ("G=4", "GRPO"):
        counts = model(condition)[1].counts
        steps, world = np.full(RUNS, math.log(0.2)), LLMWorld(model="tiny-qwen2", seeds=1)
        ends = [Model.of(world, counts, 0.2, g).paths(-1.4, steps)[:, -1] for g in ("shared", "arms")]
        gap[condition] = np.abs(ends[0] - ends[1]).max()
    assert gap["G=4"] < 1e-9
    assert gap["GRPO"] > 0.5


def test_the_mean_field_is_that_of_the_theory():
    cell, known = model("G=4")
    step = known_gain(cell.world, cell.design) * cell.design.learning_rate
    found = known.mean_paths(np.array([math.log(0.2 / 0.8)]), np.array([step]))[0]
    wanted = mean_field(cell.design, p0=0.2, num_arms=1000, rounds=cell.design.rounds)
    assert found == pytest.approx(wanted.log_odds_T, abs=1e-9)


def test_without_rollouts_the_ladder_sums_over_every_history():
    """Three rounds, evaluations after 0, 2 and 3: the likelihood is a sum over eight success histories."""
    base, step, rounds = -1.0, 0.8, np.array([0, 2, 3])
    counts = np.array([[[2.0, 8.0], [5.0, 8.0], [7.0, 8.0]]])
    out = np.empty((1, 1))
    ladder(np.array([base]), np.array([step]), rounds, counts, 0.0, out)
    total = 0.0
    for history in itertools.product((0, 1), repeat=3):
        x, weight, path = base, 1.0, [base]
        for success in history:
            p = expit(x)
            weight *= p if success else 1 - p
            x += step * (1 - p) * success
            path.append(x)
        total += weight * math.exp(
            sum(
                k * path[t] - n * np.logaddexp(0, path[t])
                for (k, n), t in zip(counts[0], rounds, strict=True)
            )
        )
    assert out[0, 0] == pytest.approx(math.log(total), abs=1e-12)


def test_the_seed_effect_is_integrated_out():
    """Two runs with Gaussian log-likelihoods in the log-step: the marginal is known in closed form."""
    grid = np.linspace(-3, 3, 601)
    centres, width, spread, at = np.array([-0.2, 0.5]), 0.1, 0.3, 0.1
    values = -0.5 * ((grid - centres[:, None]) / width) ** 2
    known = Surface(np.array([0.0, 1.0]), np.zeros(2), grid, np.repeat(values[:, None], 2, axis=1), 0.0)
    total = math.hypot(width, spread)
    wanted = sum(math.log(width / total) - 0.5 * ((c - at) / total) ** 2 for c in centres)
    assert known.loss(0.3, at, spread) == pytest.approx(-wanted, abs=1e-6)
    shrunk = (centres / width**2 + at / spread**2) / (1 / width**2 + 1 / spread**2)
    assert known.own_steps(0.3, at, spread) == pytest.approx(shrunk, abs=1e-6)


def test_a_surface_is_the_likelihood_it_interpolates():
    """The exact marginal likelihood of one run by adaptive quadrature, against the tabulated one."""
    _, known = model("G=1, SGD", runs=1)
    made = surface(known)
    base, at, spread = -1.3, 0.1, 0.2

    def likelihood(x):
        return known.log_likelihoods(np.array([base]), np.array([x]), made.rho)[0, 0]

    top = likelihood(at)
    density = quad(
        lambda x: (
            math.exp(likelihood(x) - top - 0.5 * ((x - at) / spread) ** 2) / spread / math.sqrt(2 * math.pi)
        ),
        at - 6 * spread,
        at + 6 * spread,
        limit=200,
    )[0]
    assert made.loss(base, at, spread) == pytest.approx(
        -top - math.log(density), abs=0.03
    )  # of a cutoff of 1.9


def test_samples_that_chose_the_query_count_for_its_base():
    grid = np.linspace(-1, 1, 201)
    flat = np.zeros((1, 2, grid.size))
    plain = Surface(np.array([-3.0, 0.0]), np.zeros(2), grid, flat, 0.0)
    chosen = Surface(np.array([-3.0, 0.0]), np.array([20.0, 100.0]), grid, flat, 0.0)
    wanted = float(binomial(20, 100, expit(-1.0)))
    assert plain.loss(-1.0, 0.0, 0.1) - chosen.loss(-1.0, 0.0, 0.1) == pytest.approx(wanted)


def test_drawn_runs_have_the_exact_mean_curve():
    cell, _ = model("G=1, SGD")
    n = 4000
    step = known_gain(cell.world, cell.design) * cell.design.learning_rate
    drawn = draw_runs(
        cell.world,
        cell.design,
        cell.evaluation,
        np.full(n, math.log(0.2 / 0.8)),
        np.full(n, step),
        np.random.default_rng(1),
    )
    wanted = mean_curve(0.2, step, cell.design.rounds)[drawn.rounds_E.astype(int)]
    error = drawn.train_NE.std(axis=0) / math.sqrt(n)
    assert np.all(np.abs(drawn.train_NE.mean(axis=0) - wanted) < 4.5 * error + 1e-9)


def test_statistics_of_sets_of_runs():
    """Two sets of two runs of one query: areas by the trapezoid, rounds by the two-evaluation rule."""
    rounds = np.array([0.0, 10.0, 20.0, 30.0])
    fast, slow = [0.1, 0.9, 0.9, 0.9], [0.1, 0.1, 0.95, 0.95]
    train = np.array([fast, slow, fast, fast])
    found = statistics(rounds, train, train[:, -1], np.array([7, 7]), sets=2)
    assert found["rounds"] == pytest.approx([10.0, 5.0])
    assert found["seed_sd"] == pytest.approx([math.sqrt(50.0), 0.0])
    assert found["area"][1] == pytest.approx((0.5 + 0.9 + 0.9) / 3)
    assert found["final"] == pytest.approx([0.925, 0.9])


@pytest.fixture(scope="module", params=[0.2, 0.02])
def without_groups(request, tmp_path_factory):
    more, worlds = "keep_groups = false", [bandit.LUMPED]
    text = bandit.text(seeds=32, rounds=200, base=request.param, more=more, worlds=worlds)
    return request.param, bandit.run(text, tmp_path_factory.mktemp("no-groups"))


def fitted_without(without_groups, condition):
    base, records = without_groups
    cell = records.of("lumped")[condition]
    fit = fit_query(cell.world, counts_of_runs(records, cell, 0, 32), condition, base)
    return fit, fit.gain / known_gain(cell.world, cell.design)


def test_without_groups_one_rollout_under_sgd_has_an_exact_law(without_groups):
    fit, _ = fitted_without(without_groups, "G=1, SGD")
    low, high = fit.step_interval
    assert fit.source == "ladder"
    assert low < 1.001 < high


def test_without_groups_the_mean_field_takes_a_wait_for_a_smaller_step(without_groups):
    """64 seeds measured: the step is 1.01 times the true one at base .2, .94 at .05, .81 at .02."""
    fit, ratio = fitted_without(without_groups, "G=1")
    low, high = {0.2: (0.92, 1.1), 0.02: (0.66, 0.95)}[without_groups[0]]
    assert fit.source == "mean-field"
    assert low < ratio < high
    assert any("mean field" in warning for warning in fit.warnings)
