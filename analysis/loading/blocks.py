"""One run folder as arrays, a row per seed: counts become rates here and nowhere else."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from banditrft.design import Design, Evaluation
from banditrft.errors import RecordError
from banditrft.records import RunRecord
from banditrft.worlds import ImportedWorld, LLMWorld, LumpedWorld, WorldSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def train_rounds(world: WorldSettings, design: Design, evaluation: Evaluation, run: RunRecord) -> Floats:
    """Rounds of the train evaluations: the design's grid, or those that an imported run's log has."""
    if isinstance(world, ImportedWorld):
        rounds = run.evals.filter(pl.col("split") == "train")["round"].unique().sort()
        return np.asarray(rounds.to_numpy(), dtype=np.float64)
    grid = {*range(0, design.rounds + 1, evaluation.eval_every), design.rounds}
    return np.array(sorted(grid), dtype=np.float64)


def test_rounds(run: RunRecord) -> Floats:
    """Rounds of the test evaluations during training; empty without a test set."""
    rounds = run.evals.filter(pl.col("split") == "test")["round"].unique().sort()
    return np.asarray(rounds.to_numpy(), dtype=np.float64)


def start(world: WorldSettings, run: RunRecord, measured: Floats) -> Floats:
    """Base Pass@1 of each seed: the query's measured one, the setting, or what round 0 of a pool says.

    Args:
        world: Settings of the world.
        run: The run.
        measured: Train Pass@1 of each seed at round 0, NaN where an import has none.
    """
    if isinstance(world, ImportedWorld):
        return measured
    if isinstance(world, LLMWorld):
        query = run.info.get("query")
        return np.full(measured.size, float(query["base_pass_at_1"])) if query else measured
    value = world.base_pass_at_1() if isinstance(world, LumpedWorld) else world.base_pass_at_1
    if isinstance(value, float):
        return np.full(measured.size, value)
    rows = run.evals.filter((pl.col("split") == "train") & (pl.col("round") == 0)).sort("seed")
    exact = rows.group_by("seed", maintain_order=True).agg(pl.col("p_exact").mean())["p_exact"]
    return measured if exact.null_count() else np.asarray(exact.to_numpy(), dtype=np.float64)


def arrays(
    world: WorldSettings, run: RunRecord, rounds: Floats, tested: Floats, final_name: str
) -> dict[str, npt.NDArray[Any]]:
    """Arrays of one run folder, fields of :class:`analysis.loading.records.Cell`, a row per seed.

    Args:
        world: Settings of the world.
        run: The run.
        rounds: Rounds at which each seed must have been evaluated.
        tested: Rounds of its test evaluations.
        final_name: File of its final evaluation, for errors.

    Raises:
        RecordError: An evaluation is missing, stands there twice or has no samples.
    """
    query = run.info.get("query")
    item = 0 if query is None else int(query["item"])
    found = _block(run, item, rounds, final_name, imported=isinstance(world, ImportedWorld))
    based = rounds.size and rounds[0] == 0
    at_base = found["train"][:, 0] if based else np.full(found["seed"].size, np.nan)
    return found | {
        "start": start(world, run, at_base),
        "test_curve": _test_curve(run, tested),
    }


def _test_curve(run: RunRecord, rounds: Floats) -> Floats:
    table = _totals(run.evals.filter(pl.col("split") == "test"), ["seed", "round"])
    grid = [(s, int(r)) for s in range(*run.info["seeds"]) for r in rounds]
    _on_grid(run, table, grid, "tested at rounds", rounds)
    values = (table["correct_strict"] / table["n"]).to_numpy()
    return np.asarray(values, dtype=np.float64).reshape(len(range(*run.info["seeds"])), rounds.size)


def _block(
    run: RunRecord, item: int, rounds: Floats, final_name: str, *, imported: bool
) -> dict[str, npt.NDArray[Any]]:
    """One run folder as arrays, a row per seed; an import's last test evaluation may be at any round."""
    seeds = np.arange(*run.info["seeds"], dtype=np.int64)
    train = run.evals.filter(pl.col("split") == "train")
    final = run.final
    for table, name in ((run.evals, "evals.parquet"), (final, final_name)):
        twice = table.select("seed", "round", "split", "item").is_duplicated()
        if twice.any():
            raise RecordError(f"{run.folder / name}: an evaluation stands there twice: {_row(table, twice)}")
        if (table["n"] <= 0).any():
            found = _row(table, table["n"] <= 0)
            raise RecordError(f"{run.folder / name}: an evaluation of no samples: {found}")
    curve = _totals(train, ["seed", "round"])
    grid = [(int(s), int(r)) for s in seeds for r in rounds]
    _on_grid(run, curve, grid, "evaluated at rounds", rounds)
    last = int(rounds[-1]) if rounds.size else -1
    decisive = _totals(final.filter((pl.col("split") == "train") & (pl.col("round") == last)), ["seed"])
    if rounds.size and decisive["seed"].to_list() != seeds.tolist():
        raise RecordError(f"{run.folder / final_name}: each seed needs a final evaluation at round {last}")
    none = np.zeros(0 if rounds.size else seeds.size, dtype=np.int64)  # logs without train evaluations
    test = final.filter(pl.col("split") == "test")
    later = test.filter(pl.col("round") > 0)["round"]
    last = int(later.max()) if imported and later.len() else last  # type: ignore[arg-type]
    passes = (curve["correct_strict"] / curve["n"]).to_numpy().reshape(seeds.size, rounds.size)
    return {
        "query": np.full(seeds.size, item, dtype=np.int64),
        "seed": seeds,
        "train": np.asarray(passes, dtype=np.float64),
        "train_samples": curve["n"].to_numpy().reshape(seeds.size, rounds.size),
        "final_correct": np.concatenate([none, decisive["correct_strict"].to_numpy()]),
        "final_samples": np.concatenate([none, decisive["n"].to_numpy()]),
        "test": _rates(test, last, seeds, "correct_strict"),
        "test_base": _rates(test, 0, seeds, "correct_strict"),
        "test_lenient": _rates(test, last, seeds, "correct_lenient"),
        "test_base_lenient": _rates(test, 0, seeds, "correct_lenient"),
        "test_samples": np.stack([_counts(test, at, seeds) for at in (0, last)], axis=1),
    }


def _on_grid(
    run: RunRecord, table: pl.DataFrame, grid: list[tuple[int, int]], how: str, rounds: Floats
) -> None:
    found = list(zip(table["seed"], table["round"], strict=True))
    if found != grid:
        seed, at = min(set(found) ^ set(grid))
        word = "is missing" if (seed, at) in set(grid) else "is too many"
        raise RecordError(
            f"{run.folder / 'evals.parquet'}: each seed must be {how} {rounds.astype(int).tolist()}, but "
            f"seed {seed} at round {at} {word}; are these runs of one design?"
        )


def _row(table: pl.DataFrame, bad: pl.Series) -> dict[str, Any]:
    """The first bad row, with its number."""
    return table.with_row_index("row").filter(bad).row(0, named=True)


def _totals(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    counts = [pl.col(c).sum() for c in ("correct_strict", "correct_lenient", "n")]
    return table.group_by(by).agg(*counts).sort(by)


def _rates(test: pl.DataFrame, at: int, seeds: Ints, column: str) -> Floats:
    """Pass@1 of each seed at one round, NaN where it was not measured."""
    rows = test.filter(pl.col("round") == at)
    if not rows.height or rows[column].null_count():
        return np.full(seeds.size, np.nan)
    total = _totals(rows, ["seed"])
    found = dict(zip(total["seed"], total[column] / total["n"], strict=True))
    return np.array([found.get(int(s), np.nan) for s in seeds], dtype=np.float64)


def _counts(test: pl.DataFrame, at: int, seeds: Ints) -> Ints:
    """Samples of each seed's test evaluation at one round, 0 where there was none."""
    total = _totals(test.filter(pl.col("round") == at), ["seed"])
    found = dict(zip(total["seed"], total["n"], strict=True))
    return np.array([found.get(int(s), 0) for s in seeds], dtype=np.int64)
