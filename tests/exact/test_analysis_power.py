"""Seeds planned from a pilot: each kind of component, the verdict made of them, and what cannot be planned."""

from dataclasses import replace

import numpy as np
import pytest
from support.claims import ROUNDS, SEEDS, cell, contextual, design, lumped, records

from analysis.inference.means import lowered
from analysis.judging import verdicts
from analysis.planning.components import component, log_times
from analysis.planning.power import MOST, binomial_power, boschloo_power, equivalence_power, needed, t_power
from analysis.planning.seeds import plan
from banditrft.errors import InputError

A, B = "a", "b"


def planned(claim, *cells, seeds=16):
    of = records([], *cells)
    own = {"id": "U", "statement": "s", **claim}
    (found,) = plan(
        replace(of, study={**of.study, "own_claims": [own]}), {c.world.name: seeds for c in cells}
    )
    return found


def ends(test, name=A, noise=0.03, **fields):
    return cell(contextual(), name, design(**fields), test=test, noise=noise)


def test_power_rises_to_one_with_seeds_and_starts_at_the_error_rate():
    assert t_power(0.0, 1.0, 8, 0.05) == pytest.approx(lowered(0.05, 7), abs=1e-6)
    assert t_power(1.0, 1.0, 100, 0.05) > 0.999
    assert equivalence_power(0.001, 0.0, 1.0, 5, 0.05) < 1e-3
    assert binomial_power(1.0, 0.5, 5, 0.05) == 1.0
    assert boschloo_power(0.5, 0.5, 8, 0.05) <= 0.05


def test_needed_is_the_first_number_that_reaches_the_target():
    asked = []

    def power(n):
        asked.append(n)
        return n / 100

    assert needed(power, target=0.37) == 37
    assert needed(power, target=0.37, most=20) is None
    assert max(asked) <= MOST


def test_too_few_units_have_no_power_function():
    with pytest.raises(InputError, match="power: need n >= 2"):
        t_power(1.0, 1.0, 1, 0.05)


def test_an_equivalence_is_planned_at_no_difference_with_the_pilots_spread():
    claim = {"type": "no-better", "a": A, "b": B, "margin": 0.02}
    found = planned(claim, ends(0.41, rollouts=4), ends(0.4, B))
    (part,) = found.parts
    assert part.expects == found.expects == "supported"
    sd = 0.03 * np.sqrt(2)
    assert part.seeds == pytest.approx(needed(lambda n: equivalence_power(0.02, 0, sd, n, 0.05)), rel=0.4)
    assert found.power < 0.8 < 1 < found.seeds


def test_a_directed_claim_is_planned_at_the_pilots_mean():
    falling = planned({"type": "below-base", "a": A, "margin": 0.0}, ends(0.25))
    rising = planned({"type": "below-base", "a": A, "margin": 0.0}, ends(0.32))
    assert (falling.expects, rising.expects) == ("supported", "refuted")
    assert 3 <= falling.seeds <= 20


def test_every_component_must_hold_so_their_risks_add():
    cells = [
        cell(contextual(), f"B={b}", design(batch_size=b), test=t, noise=0.02)
        for b, t in zip((1, 4, 16), (0.36, 0.4, 0.36), strict=True)
    ]
    claim = {
        "type": "optimum",
        "conditions": [c.condition for c in cells],
        "field": "batch_size",
        "at": 4,
        "margin": 2.0,
    }
    found = planned(claim, *cells)
    assert len(found.parts) == 3
    assert found.power == pytest.approx(max(0, 1 - sum(1 - p.power for p in found.parts)))
    assert found.seeds >= max(p.seeds for p in found.parts)


def test_speed_is_planned_from_the_law_of_log_times():
    rng = np.random.default_rng(3)
    middle = 10 * np.exp(0.3 * rng.standard_normal(SEEDS))[:, None]
    fast, slow = (
        cell(lumped(), n, design(rollouts=r), curve=1 / (1 + np.exp(-0.9 * (ROUNDS - m))))
        for n, r, m in ((A, 4, middle), (B, 1, 1.7 * middle))
    )
    found = planned({"type": "faster", "a": A, "b": B, "margin": 1.0}, fast, slow)
    assert found.expects == "supported"
    assert 4 <= found.seeds <= 12


@pytest.mark.parametrize("part", ["progress-adam", "test-curves"])
def test_spreads_are_planned_from_what_their_component_reads(part):
    """They were planned from the area under the training curve, whatever the component was about."""
    rng = np.random.default_rng(5)
    rise = np.linspace(0.1, 0.9, ROUNDS.size)
    made = {}
    for name, wide in (("raw", 0.01), ("GRPO", 0.05)):
        curve = rise + wide * rng.standard_normal((SEEDS, 1)) * np.minimum(rise, 1 - rise)
        curve = curve + (0.03 - wide / 2) * rng.standard_normal((SEEDS, 1)) * (rise > 0.7)
        signal = "grpo" if name == "GRPO" else "raw"
        one = cell(
            contextual(draw=0), name, design(rollouts=4, signal=signal), curve=curve, test=0.4, start=0.2
        )
        tests = 0.3 + wide * rng.standard_normal((SEEDS, 1)) * np.ones(3)
        made[name] = replace(one, test_curve=tests)
    of = records(["A4"], *made.values())
    (found,) = [v for v in verdicts(of) if not v.derived]
    (own,) = [p for p in found.parts if p.id == part]
    planned = component(of, own)
    ratio = own.counts["sd_second"] / own.counts["sd_first"]
    assert f"SD ratio {ratio:.2f} " in planned.assumes


def test_runs_that_never_hit_leave_speed_unplanned():
    fast, slow = (cell(lumped(), n, design(rollouts=r), curve=0.1) for n, r in ((A, 4), (B, 1)))
    found = planned({"type": "faster", "a": A, "b": B, "margin": 1.0}, fast, slow)
    assert (found.expects, found.power, found.seeds) == (None, None, None)
    assert "estimate" in found.parts[0].assumes or "reach" in found.parts[0].assumes


def test_a_fraction_of_all_pilot_runs_is_not_taken_for_certainty():
    stuck = cell(lumped(), A, design(), curve=0.1)
    found = planned({"type": "fails", "a": A, "margin": 0.5}, stuck)
    assert f"the pilot's {SEEDS} of {SEEDS}" in found.parts[0].assumes
    assert found.seeds == needed(lambda n: binomial_power((SEEDS + 1) / (SEEDS + 2), 0.5, n, 0.05))


def test_log_times_are_recovered_through_grid_and_censoring():
    rng = np.random.default_rng(5)
    time = 40 * np.exp(0.5 * rng.standard_normal(2000))
    by = np.ceil(time / 5) * 5
    after = np.where(by <= 60, by - 5, 60.0)
    law = log_times(after.tolist(), [float(t) if t <= 60 else None for t in by], [0] * 2000)
    assert law.sd == pytest.approx(0.5, abs=0.03)
    assert np.exp(law.centre) == pytest.approx(40, rel=0.03)
    assert np.isnan(law.residual).sum() == (by > 60).sum()
