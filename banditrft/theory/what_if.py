"""A design beside its neighbours: more rollouts, a larger batch, no advantage, another split (§3, §8).

A second front of the closed forms, which `banditrft.predict` opens.
"""

import functools
from dataclasses import asdict, dataclass
from typing import Any

from banditrft.design import BATCH_SIGNALS, GROUP_SIGNALS, Design, parse
from banditrft.errors import InputError
from banditrft.theory.budget import splits
from banditrft.theory.cases import Setting
from banditrft.theory.estimates import compare
from banditrft.theory.laws import SIGNALS
from banditrft.theory.matching import matching_factor
from banditrft.theory.pool import base_pool
from banditrft.theory.prediction import PoolSetting, SequenceSetting, rollouts_per_round


@dataclass(frozen=True)
class Change:
    """What a change of the design does.

    Attributes:
        rounds_ratio: T(before) / T(after), the speed-up in rounds; None where a side does not arrive.
        compute_ratio: Rollouts to the target after over before; above 1 the change costs.
    """

    rounds_ratio: float | None
    compute_ratio: float | None


@dataclass(frozen=True)
class WhatIf:
    """Comparisons of a design; a None means that closed forms do not cover the neighbour.

    Attributes:
        double_rollouts: G -> 2G.
        double_batch: B -> 2B (copies of the query in a world of one query).
        advantage: Rounds of the raw reward over rounds of the design's signal at the same learning rate; None
            for the raw signal.
        advantage_matched: The same with the signal scaled to raw's drift at the base (SGD only).
        matching_factor: That scale.
        best_split: {"batch_size", "rollouts", "efficiency"} of the best split of the budget for this query's
            difficulty; None without a budget.
    """

    double_rollouts: Change | None
    double_batch: Change | None
    advantage: float | None = None
    advantage_matched: float | None = None
    matching_factor: float | None = None
    best_split: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def what_if(
    setting: Setting | PoolSetting | SequenceSetting,
    design: Design,
    target: float = 0.99,
    *,
    budget: int | None = None,
    sharing: float = 0.1,
    arm_noise: float = 1.0,
    pool: int = 256,
) -> WhatIf:
    """Compare a design with its neighbours.

    Args:
        setting: The world, as a function of the design (`banditrft.predict.setting_of`).
        design: The design.
        target: Pass@1 to reach, in (0, 1).
        budget: B G, rollouts per round to split; none: no split.
        sharing: rho of theory §8, inner product of two queries' gradients, in [0, 1].
        arm_noise: kappa of theory §8, squared length of a rollout's own direction, 0 or more.
        pool: Queries of this difficulty that a split may choose from, in a world of one query.

    Raises:
        InputError: The design itself is not covered, or the budget cannot be split.
    """
    if not isinstance(setting, PoolSetting | SequenceSetting):
        setting = functools.cache(setting)
    raw = {"signal": "raw", "match_step_size": False, "baseline_rollouts": 0, "replay_window": 0}
    plain = factor = matched = None
    if design.signal != "raw":
        plain = _ratio(setting, [raw, {"match_step_size": False}], design, target)
        if design.optimizer == "sgd" and not isinstance(setting, PoolSetting | SequenceSetting):
            matched = _ratio(setting, [raw, {"match_step_size": True}], design, target)
            factor = matching_factor(design, setting(design).p0)
    best = None
    if budget is not None:
        if isinstance(setting, PoolSetting):
            bases = base_pool(setting.world)
        elif isinstance(setting, SequenceSetting):
            bases = [setting.positions.pass_at_1] * pool
        else:
            bases = [setting(design).p0] * pool
        best = _best(design, bases, budget, sharing, arm_noise)
    return WhatIf(
        double_rollouts=_change(setting, design, {"rollouts": 2 * design.rollouts}, target),
        double_batch=_change(setting, design, {"batch_size": 2 * design.batch_size}, target),
        advantage=plain,
        advantage_matched=matched,
        matching_factor=factor,
        best_split=best,
    )


def _change(
    setting: Setting | PoolSetting | SequenceSetting, design: Design, update: dict[str, Any], target: float
) -> Change | None:
    ratio = _ratio(setting, [{}, update], design, target)
    try:
        other = _altered(design, update)
    except InputError:
        return None
    cost = rollouts_per_round(other) / rollouts_per_round(design)
    return Change(ratio, None if ratio is None else cost / ratio)


def _ratio(
    setting: Setting | PoolSetting | SequenceSetting,
    updates: list[dict[str, Any]],
    design: Design,
    target: float,
) -> float | None:
    """T of the first update over T of the second; None where one has no closed form or does not arrive."""
    try:
        designs = [_altered(design, update) for update in updates]
        if isinstance(setting, PoolSetting | SequenceSetting):
            first, second = setting.times(designs, target)
        else:
            first, second = compare([setting(other) for other in designs], target)
    except InputError:
        return None
    return first / second if first and second else None


def _altered(design: Design, update: dict[str, Any]) -> Design:
    """A copy with other values, checked again."""
    return parse(Design, design.model_dump() | update)


def _best(
    design: Design, bases: list[float], budget: int, sharing: float, arm_noise: float
) -> dict[str, float]:
    if design.signal not in SIGNALS:
        known = " | ".join((*GROUP_SIGNALS, "raw"))
        raise InputError(f"signal: a budget can be split under {known}, got one of {BATCH_SIGNALS}")
    plain = design.model_copy(update={"baseline_rollouts": 0, "replay_window": 0, "match_step_size": False})
    table = splits(plain, bases, budget, sharing=sharing, arm_noise=arm_noise)
    best = max(table, key=lambda split: split.efficiency)
    return {
        "batch_size": best.batch_size,
        "rollouts": best.rollouts,
        "efficiency": best.efficiency,
        "silent": best.silent,
    }
