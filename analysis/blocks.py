"""One run folder as arrays, a row per seed: counts become rates here and nowhere else."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from banditrft.errors import RecordError
from banditrft.records import RunRecord
from banditrft.worlds import LLMWorld, LumpedWorld, WorldSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def test_rounds(run: RunRecord) -> Floats:
    """Rounds of the test evaluations during training; empty without a test set."""
    rounds = run.evals.filter(pl.col("split") == "test")["round"].unique().sort()
    return np.asarray(rounds.to_numpy(), dtype=np.float64)


def start(world: WorldSettings, run: RunRecord, measured: Floats) -> Floats:
    """Base Pass@1 of each seed: the query's measured one, the setting, or what round 0 of a pool says.

    Args:
        world: Settings of the world.
        run: The run.
        measured: Train Pass@1 of each seed at round 0.
    """
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
    """Arrays of one run folder, fields of :class:`analysis.loading.Cell`, a row per seed.

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
    found = _block(run, 0 if query is None else int(query["item"]), rounds, final_name)
    return found | {
        "start": start(world, run, found["train"][:, 0]),
        "test_curve": _test_curve(run, tested),
    }


def _test_curve(run: RunRecord, rounds: Floats) -> Floats:
    table = _totals(run.evals.filter(pl.col("split") == "test"), ["seed", "round"])
    grid = [(s, int(r)) for s in range(*run.info["seeds"]) for r in rounds]
    if list(zip(table["seed"], table["round"], strict=True)) != grid:
        raise RecordError(
            f"{run.folder / 'evals.parquet'}: each seed must be tested at rounds "
            f"{rounds.astype(int).tolist()}"
        )
    values = (table["correct_strict"] / table["n"]).to_numpy()
    return np.asarray(values, dtype=np.float64).reshape(len(range(*run.info["seeds"])), rounds.size)


def _block(run: RunRecord, item: int, rounds: Floats, final_name: str) -> dict[str, npt.NDArray[Any]]:
    """One run folder as arrays, a row per seed."""
    seeds = np.arange(*run.info["seeds"], dtype=np.int64)
    train = run.evals.filter(pl.col("split") == "train")
    final = run.final
    for table, name in ((train, "evals.parquet"), (final, final_name)):
        if table.select("seed", "round", "split", "item").is_duplicated().any():
            raise RecordError(f"{run.folder / name}: an evaluation stands there twice")
        if (table["n"] <= 0).any():
            raise RecordError(f"{run.folder / name}: an evaluation of no samples")
    curve = _totals(train, ["seed", "round"])
    grid = [(int(s), int(r)) for s in seeds for r in rounds]
    if list(zip(curve["seed"], curve["round"], strict=True)) != grid:
        raise RecordError(
            f"{run.folder / 'evals.parquet'}: each seed must be evaluated at rounds "
            f"{rounds.astype(int).tolist()}"
        )
    last = int(rounds[-1])
    decisive = _totals(final.filter((pl.col("split") == "train") & (pl.col("round") == last)), ["seed"])
    if decisive["seed"].to_list() != seeds.tolist():
        raise RecordError(f"{run.folder / final_name}: each seed needs a final evaluation at round {last}")
    test = final.filter(pl.col("split") == "test")
    passes = (curve["correct_strict"] / curve["n"]).to_numpy().reshape(seeds.size, rounds.size)
    return {
        "query": np.full(seeds.size, item, dtype=np.int64),
        "seed": seeds,
        "train": np.asarray(passes, dtype=np.float64),
        "train_samples": curve["n"].to_numpy().reshape(seeds.size, rounds.size),
        "final_correct": decisive["correct_strict"].to_numpy(),
        "final_samples": decisive["n"].to_numpy(),
        "test": _rates(test, last, seeds, "correct_strict"),
        "test_base": _rates(test, 0, seeds, "correct_strict"),
        "test_lenient": _rates(test, last, seeds, "correct_lenient"),
        "test_base_lenient": _rates(test, 0, seeds, "correct_lenient"),
        "test_samples": np.stack([_counts(test, at, seeds) for at in (0, last)], axis=1),
    }


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
