"""Run folders as arrays, a row per run and seed: counts become rates here and nowhere else.

Many folders are read at once: a query over hundreds of files costs little more than one over one. Apart
from `analysis.loading.records`, which knows studies and conditions, this knows files and tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from banditrft.design import Design, Evaluation
from banditrft.errors import RecordError
from banditrft.records import (
    EVALS,
    TABLES,
    RunRecord,
    Schema,
    check_table,
    measured,
    read_description,
    read_file,
    read_info,
    read_run,
)
from banditrft.worlds import ImportedWorld, LLMWorld, LumpedWorld, WorldSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FILES, ROWS = 512, 2_000_000
"""Most files and rows of a table that are read together."""


def read_runs(folders: Sequence[Path], evaluation_id: str) -> list[RunRecord]:
    """What `banditrft.records.read_run` gives for each of many folders, as strictly.

    Args:
        folders: The runs' folders.
        evaluation_id: Which final evaluation to read.

    Raises:
        RecordError: A file is missing, unreadable, of another schema or inconsistent; names the file.
    """
    found: list[RunRecord] = []
    infos = [read_info(folder) for folder in folders]
    start, rows = 0, 0
    for end, info in enumerate(infos, 1):
        rows += _rows(info)
        if end == len(infos) or end - start == FILES or rows >= ROWS:
            found += _some(folders[start:end], infos[start:end], evaluation_id)
            start, rows = end, 0
    return found


def _rows(info: dict[str, Any]) -> int:
    return max((n for n in info["rows"].values() if isinstance(n, int)), default=0)


def _some(folders: Sequence[Path], infos: Sequence[dict[str, Any]], evaluation_id: str) -> list[RunRecord]:
    """Runs read together; where anything is wrong with them one by one, so that the error names the file."""
    if len(folders) > 1:
        try:
            return _together(folders, infos, evaluation_id)
        except (OSError, pl.exceptions.PolarsError, RecordError, KeyError, TypeError, ValueError):
            pass
    return [read_run(folder, evaluation_id) for folder in folders]


def _together(
    folders: Sequence[Path], infos: Sequence[dict[str, Any]], evaluation_id: str
) -> list[RunRecord]:
    last = f"final-{evaluation_id}.parquet"
    for folder, info in zip(folders, infos, strict=True):  # no file is parsed that is not what was written
        for name in TABLES:
            read_file(folder, f"{name}.parquet", info)
        read_file(folder, last, read_description(folder, last))
    filled = {name: measured(name, infos[0]["world"]) for name in TABLES}
    if any(measured(name, info["world"]) != filled[name] for info in infos for name in TABLES):
        raise RecordError("imported runs and others")
    seeds = [tuple(info["seeds"]) for info in infos]
    read = {}
    for name, schema in TABLES.items():
        paths = [folder / f"{name}.parquet" for folder in folders]
        read[name] = _table(paths, schema, filled[name], seeds)
        if [t.height for t in read[name]] != [info["rows"].get(name) for info in infos]:
            raise RecordError(f"{name}: rows are not those of run.json")
    final = _table([folder / last for folder in folders], EVALS, (), seeds)
    return [
        RunRecord(folder, info, final=own, **{name: read[name][i] for name in TABLES})
        for i, (folder, info, own) in enumerate(zip(folders, infos, final, strict=True))
    ]


def _table(
    paths: Sequence[Path], schema: Schema, filled: tuple[str, ...], seeds: Sequence[tuple[int, int]]
) -> list[pl.DataFrame]:
    """One table of each run, checked; seeds are first and last + 1 of each."""
    types = {name: dtype() for name, dtype in schema.items()}
    whole = pl.scan_parquet(list(paths), schema=types, include_file_paths="path").collect()
    check_table(whole.drop("path"), schema, str(paths[0]), filled)
    seed = pl.col("seed")
    files = whole.group_by("path", maintain_order=True).agg(
        pl.len(), seed.min().alias("low"), seed.max().alias("high"), seed.n_unique().alias("seeds")
    )
    rows = {Path(row["path"]): row for row in files.iter_rows(named=True)}
    in_order = [path for path in paths if path in rows] == list(rows)
    if not in_order or whole["path"].rle_id().n_unique() != len(rows):
        raise RecordError(f"{paths[0].parent.parent}: files were not read in their order")
    start, found = 0, []
    for path, (low, end) in zip(paths, seeds, strict=True):
        row = rows.get(path)
        if row is not None and (row["low"], row["high"], row["seeds"]) != (low, end - 1, end - low):
            raise RecordError(f"{path}: seeds must be those that run.json says")
        height = 0 if row is None else row["len"]
        found.append(whole.slice(start, height).drop("path"))
        start += height
    return found


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


def arrays(
    world: WorldSettings, runs: Sequence[RunRecord], rounds: Floats, tested: Floats, final_name: str
) -> dict[str, npt.NDArray[Any]]:
    """Arrays of some run folders, fields of :class:`analysis.loading.records.Cell`, a row per run and seed.

    Args:
        world: Settings of the world.
        runs: Runs of one condition; an import's one by one, since the ends of their logs differ.
        rounds: Rounds at which each seed must have been evaluated.
        tested: Rounds of its test evaluations.
        final_name: File of its final evaluation, for errors.

    Raises:
        RecordError: An evaluation is missing or stands there twice.
    """
    try:
        return _arrays(world, runs, rounds, tested, final_name)
    except RecordError:
        for run in runs if len(runs) > 1 else ():  # one by one, so that the error names the file
            _arrays(world, [run], rounds, tested, final_name)
        raise


def _arrays(
    world: WorldSettings, runs: Sequence[RunRecord], rounds: Floats, tested: Floats, final_name: str
) -> dict[str, npt.NDArray[Any]]:
    evals, final = (_joined([getattr(run, name) for run in runs]) for name in ("evals", "final"))
    for table, path in ((evals, runs[0].folder / "evals.parquet"), (final, runs[0].folder / final_name)):
        twice = table.select("run", "seed", "round", "split", "item").is_duplicated()
        if twice.any():
            raise RecordError(f"{path}: an evaluation stands there twice: {_row(table, twice)}")
    keys = _Keys.of(runs)
    if not isinstance(world, ImportedWorld):
        keys.check_alike(runs, final, final_name)
    train = evals.filter(pl.col("split") == "train")
    curve = _totals(train, ["run", "seed", "round"])
    keys.check_grid(runs, curve, "evaluated at rounds", rounds)
    last = int(rounds[-1]) if rounds.size else -1
    at_end = final.filter((pl.col("split") == "train") & (pl.col("round") == last))
    decisive = _totals(at_end, ["run", "seed"])
    if rounds.size and not keys.are(decisive):
        raise RecordError(
            f"{runs[0].folder / final_name}: each seed needs a final evaluation at round {last}"
        )
    none = np.zeros(0 if rounds.size else keys.size, dtype=np.int64)  # logs without train evaluations
    test = final.filter(pl.col("split") == "test")
    later = test.filter(pl.col("round") > 0)["round"]
    if isinstance(world, ImportedWorld) and later.len():
        last = int(later.max())  # type: ignore[arg-type]
    passes = (curve["correct_strict"] / curve["n"]).to_numpy().reshape(keys.size, rounds.size)
    based = rounds.size and rounds[0] == 0
    return {
        "query": keys.query_N,
        "seed": keys.seed_N,
        "start": _start(world, runs, keys, train, passes[:, 0] if based else np.full(keys.size, np.nan)),
        "train": np.asarray(passes, dtype=np.float64),
        "train_samples": curve["n"].to_numpy().reshape(keys.size, rounds.size),
        "final_correct": np.concatenate([none, decisive["correct_strict"].to_numpy()]),
        "final_samples": np.concatenate([none, decisive["n"].to_numpy()]),
        "test": keys.rates(test, last, "correct_strict"),
        "test_base": keys.rates(test, 0, "correct_strict"),
        "test_lenient": keys.rates(test, last, "correct_lenient"),
        "test_base_lenient": keys.rates(test, 0, "correct_lenient"),
        "test_samples": np.stack([keys.samples(test, at) for at in (0, last)], axis=1),
        **_test_curve(runs, keys, evals, tested),
    }


def _start(
    world: WorldSettings, runs: Sequence[RunRecord], keys: "_Keys", train: pl.DataFrame, measured: Floats
) -> Floats:
    """Base Pass@1 of each seed: the query's measured one, the setting, or what round 0 of a pool says.

    Args:
        world: Settings of the world.
        runs: The runs.
        keys: Their rows.
        train: Their train evaluations.
        measured: Train Pass@1 of each seed at round 0, NaN where an import has none.
    """
    if isinstance(world, ImportedWorld):
        return measured
    if isinstance(world, LLMWorld):
        queries = [run.info.get("query") for run in runs]
        own = np.array([q["base_pass_at_1"] if q else np.nan for q in queries], dtype=np.float64)
        return np.where(np.isnan(own[keys.run_N]), measured, own[keys.run_N])
    value = world.base_pass_at_1() if isinstance(world, LumpedWorld) else world.base_pass_at_1
    if isinstance(value, float):
        return np.full(measured.size, value)
    rows = train.filter(pl.col("round") == 0).sort("run", "seed")
    exact = rows.group_by("run", "seed", maintain_order=True).agg(pl.col("p_exact").mean())["p_exact"]
    return measured if exact.null_count() else np.asarray(exact.to_numpy(), dtype=np.float64)


def _test_curve(
    runs: Sequence[RunRecord], keys: "_Keys", evals: pl.DataFrame, rounds: Floats
) -> dict[str, npt.NDArray[Any]]:
    table = _totals(evals.filter(pl.col("split") == "test"), ["run", "seed", "round"])
    keys.check_grid(runs, table, "tested at rounds", rounds)
    shape = (keys.size, rounds.size)
    values = (table["correct_strict"] / table["n"]).to_numpy()
    return {
        "test_curve": np.asarray(values, dtype=np.float64).reshape(shape),
        "test_curve_samples": table["n"].to_numpy().reshape(shape),
    }


def _joined(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Tables under one another, the number of each in column "run"."""
    run = pl.Series("run", np.repeat(np.arange(len(tables)), [t.height for t in tables]), dtype=pl.Int64)
    return pl.concat(tables).with_columns(run)


@dataclass(frozen=True)
class _Keys:
    """Rows of the arrays: the number of the run, its query's item, and the seed; rising in run and seed."""

    run_N: Ints
    query_N: Ints
    seed_N: Ints

    @classmethod
    def of(cls, runs: Sequence[RunRecord]) -> "_Keys":
        seeds = [np.arange(*run.info["seeds"], dtype=np.int64) for run in runs]
        queries = [run.info.get("query") for run in runs]
        run_N = np.repeat(np.arange(len(runs)), [s.size for s in seeds])
        items = np.array([0 if q is None else int(q["item"]) for q in queries], dtype=np.int64)
        return cls(run_N, items[run_N], np.concatenate(seeds))

    @property
    def size(self) -> int:
        return int(self.seed_N.size)

    def are(self, table: pl.DataFrame) -> bool:
        """Whether a table sorted by run and seed has one row for each of them."""
        same = np.array_equal(table["run"].to_numpy(), self.run_N)
        return same and np.array_equal(table["seed"].to_numpy(), self.seed_N)

    def check_grid(self, runs: Sequence[RunRecord], table: pl.DataFrame, how: str, rounds: Floats) -> None:
        """Each must stand in a table sorted by run, seed and round at each of some rounds, and no other."""
        ints = rounds.astype(np.int64)
        grid = (*(np.repeat(x, ints.size) for x in (self.run_N, self.seed_N)), np.tile(ints, self.size))
        found = tuple(table[name].to_numpy() for name in ("run", "seed", "round"))
        if all(np.array_equal(a, b) for a, b in zip(found, grid, strict=True)):
            return
        there, wanted = (set(zip(*(x.tolist() for x in of), strict=True)) for of in (found, grid))
        run, seed, at = min(there ^ wanted)
        word = "is missing" if (run, seed, at) in wanted else "is too many"
        raise RecordError(
            f"{runs[run].folder / 'evals.parquet'}: each seed must be {how} {ints.tolist()}, but seed {seed} "
            f"at round {at} {word}; are these runs of one design?"
        )

    def check_alike(self, runs: Sequence[RunRecord], final: pl.DataFrame, name: str) -> None:
        """Each must have been evaluated at the end as most are: same splits, rounds, numbers of rows."""
        sizes = final.group_by("run", "seed", "split", "round").agg(pl.len().alias("rows"))
        for (split, at), own in sizes.sort("split", "round").group_by("split", "round", maintain_order=True):
            if own.height == self.size and own["rows"].n_unique() == 1:
                continue
            usual = int(own["rows"].mode().sort()[-1])
            found = {(run, seed): rows for run, seed, _, _, rows in own.iter_rows()}
            for run, seed in zip(self.run_N.tolist(), self.seed_N.tolist(), strict=True):
                if (rows := found.get((run, seed), 0)) != usual:
                    raise RecordError(
                        f"{runs[run].folder / name}: must have {usual} rows of split {split!r} at round {at} "
                        f"for each seed, as the condition's other runs do, got {rows} for seed {seed}"
                    )

    def rates(self, test: pl.DataFrame, at: int, column: str) -> Floats:
        """Pass@1 of each at one round, NaN where it was not measured or a row of the run has no count."""
        rows = test.filter((pl.col("round") == at) & pl.col(column).is_not_null().all().over("run"))
        total = _totals(rows, ["run", "seed"])
        return self._placed(total, (total[column] / total["n"]).to_numpy(), np.nan)

    def samples(self, test: pl.DataFrame, at: int) -> Ints:
        """Samples of each at one round, 0 where there was no evaluation."""
        total = _totals(test.filter(pl.col("round") == at), ["run", "seed"])
        return self._placed(total, total["n"].to_numpy(), 0.0).astype(np.int64)

    def _placed(self, total: pl.DataFrame, values: npt.NDArray[Any], missing: float) -> Floats:
        """Values of a table by run and seed in the order of the rows."""
        found = dict(zip(zip(total["run"], total["seed"], strict=True), values.tolist(), strict=True))
        keys = zip(self.run_N.tolist(), self.seed_N.tolist(), strict=True)
        return np.array([found.get(key, missing) for key in keys], dtype=np.float64)


def _row(table: pl.DataFrame, bad: pl.Series) -> dict[str, Any]:
    """The first bad row, with its number."""
    return table.drop("run").with_row_index("row").filter(bad).row(0, named=True)


def _totals(table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    counts = [pl.col(c).sum() for c in ("correct_strict", "correct_lenient", "n")]
    return table.group_by(by).agg(*counts).sort(by)
