"""What the bandit model sees of a condition: success counts of its runs, and how its design makes them learn.

The optimiser, the signal, the reward map and the numbers of rollouts are known from the design. What the
closed forms do not cover is refused by field, so that a fit never describes another design than the one that
ran.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.loading.records import Cell, Records
from banditrft.design import Design
from banditrft.errors import InputError, RecordError
from banditrft.predict import two_classes
from banditrft.records import GROUPS, read_table
from banditrft.rewards import honest
from banditrft.theory.cases import has_single_query
from banditrft.theory.contextual import log_odds_gain
from banditrft.theory.coordinates import Coordinates
from banditrft.theory.laws import SIGNALS, require, round_law
from banditrft.theory.matching import design_table
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, LumpedWorld, WorldSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Geometry = Literal["shared", "arms"]
"""How a language model is taken to move: along one direction that all responses share, or by parameters of
each response, of which the many wrong ones are met one at a time (theory §4). The raw {0,1} reward is silent
on failures and cannot tell the two apart; signals that push wrong answers down can."""
CLASS_ARMS = 1000
"""Arms of a language model under "arms": many; more change nothing without eps."""
COVERED: dict[str, tuple[object, ...]] = {
    "optimizer": ("sgd", "adam", "adamw"),
    "signal": SIGNALS,
    "reward": tuple(honest()),
    "updates_per_round": (1,),
    "grad_clip": (None,),
    "kl_coef": (0.0,),
    "weight_decay": (0.0,),
    "skip_equal_groups": (False,),
}
"""Values of Design fields that the fitted bandit covers."""


@dataclass(frozen=True)
class Counts:
    """Runs of one query under one condition, R of them.

    Attributes:
        design: What was learned.
        query: The training query's item.
        seed: (R,) seeds.
        rounds_E: (E,) rounds of the evaluations, the final one included as a second one of the last round.
        counts_RE2: (R, E, 2) right answers and samples of each.
        rollouts_RT2: (R, T, 2) right answers and rollouts of each round; None where groups were not kept.
        base_2: Right answers and samples that measured the query's base, apart from the runs; zeros if none.
        test_R22: (R, 2, 2) right answers and samples of the test set, of the base and at the end; zeros
            where there is no test set.
        groups_RTB: (R, T, B) right answers of each group; None likewise.
    """

    design: Design
    query: int
    seed: Ints
    rounds_E: Ints
    counts_RE2: Floats
    rollouts_RT2: Floats | None
    base_2: Floats
    test_R22: Floats
    groups_RTB: Floats | None

    @property
    def n(self) -> int:
        """Number of runs, R."""
        return int(self.seed.size)


def check_covered(design: Design) -> None:
    """Refuse a design that the fitted bandit does not cover.

    Raises:
        InputError: Names the field, what is covered, and the value.
    """
    for name, allowed in COVERED.items():
        require(design, name, allowed)
    if design.signal != "raw":
        for name in ("baseline_rollouts", "replay_window"):
            require(design, name, (0,))


def check_world(world: WorldSettings) -> None:
    """Refuse a world whose training queries the bandit does not describe one by one.

    Raises:
        InputError: Names the world and why.
    """
    if isinstance(world, ImportedWorld):
        raise InputError(
            f"world '{world.name}': the bandit needs a design that is known in full, and logs do not say it"
        )
    if isinstance(world, LumpedWorld):
        if sorted(c.reward for c in world.classes) != [0.0, 1.0]:
            raise InputError(
                f"world '{world.name}': the bandit has one class of right and one of wrong arms, got "
                f"{len(world.classes)} classes"
            )
    elif isinstance(world, ContextualWorld):
        if not has_single_query(world):
            raise InputError(
                f"world '{world.name}': the bandit is fitted to runs on one query of one base Pass@1 each"
            )
    elif isinstance(world, LLMWorld) and world.train_items is not None:
        raise InputError(
            f"world '{world.name}': the bandit is fitted to runs on one query each, got a pool of "
            f"{world.train_items}"
        )


def coordinates_of(world: WorldSettings, design: Design, geometry: Geometry = "shared") -> Coordinates:
    """The parameters that move, before the effective step scales them.

    Args:
        world: Decides whether arms are tabular or parameters shared.
        design: Gives the law of the rounds.
        geometry: Of a language model; simulated worlds have their own.
    """
    law = round_law(design)
    if isinstance(world, LumpedWorld):
        _, arms, right = _classes(world)
        return Coordinates.arms(law, right, arms, world.shared)
    if isinstance(world, ContextualWorld):
        size = log_odds_gain(world, "adam") / world.dimension
        return Coordinates.features(law, np.array([size]), np.array([1.0]))
    return (
        Coordinates.arms(law, 1, CLASS_ARMS) if geometry == "arms" else Coordinates.features(law, np.ones(1))
    )


def eps_of(world: WorldSettings, design: Design) -> float:
    """Adam's eps where gradients have a simulated world's scale; 0 for language models (theory §4)."""
    return design.adam_eps if isinstance(world, LumpedWorld | ContextualWorld) else 0.0


def unit_gain(coordinates: Coordinates, design: Design) -> float:
    """Log-odds per unit of learning signal at a learning rate of 1, before the fitted step replaces it."""
    if design.optimizer == "sgd":
        return coordinates.gain()
    return float(np.abs(coordinates.slope_C).sum())


def known_gain(world: WorldSettings, design: Design) -> float | None:
    """Log-odds per unit of learning signal and learning rate that a simulated world's settings imply.

    For SGD d(log-odds) per unit of multiplier, for Adam the most that one round can move the log-odds. None
    where there are no such settings. Of the contextual world's queries the mean.
    """
    if isinstance(world, ContextualWorld):
        return log_odds_gain(world, design.optimizer)
    if isinstance(world, LumpedWorld):
        return unit_gain(coordinates_of(world, design), design)
    return None


def drives(design: Design, base: float, groups_RTB: Floats) -> Floats:
    """What each round taught: signals of right and of wrong rollouts over all, and their energies.

    Args:
        design: Signal, rewards, group and batch size.
        base: Base Pass@1, for a step size that is matched there.
        groups_RTB: Right answers of each group.

    Returns:
        float64 (R, T, 4).
    """
    signals_S2 = design_table(design, base)
    G, B = design.rollouts, design.batch_size
    right = np.arange(G + 1, dtype=np.float64)
    low_S, high_S = signals_S2[:, 0], signals_S2[:, 1]
    by_count_S4 = np.stack(
        [
            right * high_S / G,
            (G - right) * low_S / G,
            right * high_S**2 / G**2 / B,
            (G - right) * low_S**2 / G**2 / B,
        ],
        axis=1,
    )
    return np.asarray(by_count_S4[groups_RTB.astype(np.int64)].mean(axis=2))


def _classes(world: LumpedWorld) -> tuple[float, int, int]:
    return two_classes(world.model_copy(update={"shared": 0.0}))


def counts_of_runs(records: Records, cell: Cell, query: int, most: int) -> Counts:
    """The counts of one query's runs, at most ``most`` of them (the first seeds).

    Args:
        records: Where the rollouts are read from.
        cell: The condition.
        query: The training query's item.
        most: Largest number of runs.

    Raises:
        RecordError: A table of rollouts contradicts the design; names the file.
    """
    chosen = np.flatnonzero(cell.query == query)[:most]
    samples = cell.train_samples[chosen].astype(np.float64)
    correct = np.rint(cell.train[chosen] * samples)
    final = np.stack([cell.final_correct[chosen], cell.final_samples[chosen]], axis=1).astype(np.float64)
    counts = np.concatenate([np.stack([correct, samples], axis=2), final[:, None, :]], axis=1)
    rounds = np.append(cell.rounds, cell.rounds[-1]).astype(np.int64)
    groups = _groups(records, cell, query, cell.seed[chosen])
    rollouts = None
    if groups is not None:
        drawn = np.full(groups.shape[:2], float(cell.design.batch_size * cell.design.rollouts))
        rollouts = np.stack([groups.sum(axis=2), drawn], axis=2)
    rates = np.stack([cell.test_base[chosen], cell.test[chosen]], axis=1)
    tested = cell.test_samples[chosen].astype(np.float64)
    right = np.where(tested > 0, np.rint(np.nan_to_num(rates) * tested), 0.0)
    return Counts(
        design=cell.design,
        query=query,
        seed=cell.seed[chosen],
        rounds_E=rounds,
        counts_RE2=counts,
        rollouts_RT2=rollouts,
        base_2=_base(records, cell, query),
        test_R22=np.stack([right, tested], axis=2),
        groups_RTB=groups,
    )


def _base(records: Records, cell: Cell, query: int) -> Floats:
    """Right answers and samples that the query was chosen by."""
    for run_id in _runs(records, cell):
        found: dict[str, Any] | None = records.infos[run_id].get("query")
        if found is not None and int(found["item"]) == query:
            n = float(found["base_samples"])
            return np.array([round(float(found["base_pass_at_1"]) * n), n])
    return np.zeros(2)


def _runs(records: Records, cell: Cell) -> list[str]:
    for described in records.study["cells"]:
        if (described["world"], described["condition"]) == (cell.world.name, cell.condition):
            return [str(run_id) for run_id in described["runs"]]
    raise RecordError(
        f"{records.path}: study.json has no condition {cell.condition!r} in {cell.world.name!r}"
    )


def _groups(records: Records, cell: Cell, query: int, seeds: Ints) -> Floats | None:
    """Right answers of every group, (R, T, B); None where some run did not keep its groups."""
    T, B = cell.design.rounds, cell.design.batch_size
    found: dict[int, Floats] = {}
    for run_id in _runs(records, cell):
        info = records.infos[run_id]
        own = info.get("query")
        wanted = set(range(*info["seeds"])) & set(seeds.tolist())
        if (own is not None and int(own["item"]) != query) or not wanted:
            continue
        path = records.path / run_id / "groups.parquet"
        rows = read_table(path, GROUPS).filter(pl.col("seed").is_in(sorted(wanted))).sort("seed", "round")
        if not rows.height:
            return None
        if rows.height != len(wanted) * T * B or (rows["n"] != cell.design.rollouts).any():
            raise RecordError(
                f"{path}: each seed needs {T} rounds of {B} groups of {cell.design.rollouts} rollouts, got "
                f"{rows.height} rows for {len(wanted)} seeds"
            )
        right = rows["correct_strict"].to_numpy().reshape(len(wanted), T, B)
        found.update(zip(sorted(wanted), right, strict=True))
    return np.array([found[int(s)] for s in seeds], dtype=np.float64)
