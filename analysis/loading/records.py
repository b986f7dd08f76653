"""Records read back as arrays: one `Cell` per condition and world, rows are runs (query, seed).

Strict: a missing file, a curve with another grid of rounds, a run counted twice or without its final
evaluation is an error that names the file; nothing is skipped. Counts become rates only here.

A study's description and its runs must say the same: an edited study.json must not relabel runs.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from analysis.loading import blocks
from banditrft.brief import Brief
from banditrft.catalog import STUDY, read_study
from banditrft.claims import in_force
from banditrft.design import CURVE_FIELDS, Design, Evaluation, Frozen, parse
from banditrft.errors import InputError, RecordError
from banditrft.records import SECONDS, RunRecord
from banditrft.worlds import ImportedWorld, LLMWorld, WorldSettings, parse_world

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
M = TypeVar("M", bound=Frozen)
COMPARED = ("kind", "world", "task", "train_items", "base_pass_at_1", "transfer", "dimension", "draw")
"""World settings that say what was run and are compared as they stand (a model may be renamed)."""


@dataclass(frozen=True, repr=False)
class Cell(Brief):
    """All runs of one condition in one world, N of them, sorted by (query, seed).

    Attributes:
        world: Settings of the world.
        condition: Name in the study.
        design: What was learned.
        evaluation: What was measured.
        query: (N,) training query's item, 0 in a simulated world.
        seed: (N,) seed.
        base: query -> base Pass@1, measured (LLM) or given (simulated); a pool's mean over runs.
        start: (N,) base Pass@1 of the run's own query or pool, exact where it is known.
        rounds: (E,) rounds of the evaluations during training, 0 first.
        train: (N, E) train Pass@1, strict; of a pool, its mean.
        train_samples: (N, E) samples behind each.
        final_correct: (N,) right answers of the final evaluation on the training query.
        final_samples: (N,) their number.
        test: (N,) final test Pass@1, NaN without a test set.
        test_base: (N,) test Pass@1 of the base policy, NaN without a test set.
        test_lenient: (N,) final test Pass@1 by the lenient grade, NaN where there is none.
        test_base_lenient: (N,) that of the base policy.
        test_samples: (N, 2) samples behind `test_base` and `test`, 0 without a test set.
        test_rounds: (F,) rounds of the test evaluations during training.
        test_curve: (N, F) test Pass@1 at them.
        test_curve_samples: (N, F) samples behind each.
        unknown: Settings that an imported run's logs do not say; None in `design` and `evaluation`.
    """

    world: WorldSettings
    condition: str
    design: Design
    evaluation: Evaluation
    query: Ints
    seed: Ints
    base: dict[int, float]
    start: Floats
    rounds: Floats
    train: Floats
    train_samples: Ints
    final_correct: Ints
    final_samples: Ints
    test: Floats
    test_base: Floats
    test_lenient: Floats
    test_base_lenient: Floats
    test_samples: Ints
    test_rounds: Floats
    test_curve: Floats
    test_curve_samples: Ints
    unknown: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of runs."""
        return int(self.seed.size)

    def keys(self) -> list[tuple[int, int]]:
        """(query, seed) of each run."""
        return [(int(q), int(s)) for q, s in zip(self.query, self.seed, strict=True)]

    @property
    def replicate(self) -> str:
        """What tells one run from another: a language model's queries are several, a pool is one."""
        world = self.world
        return "query, seed" if isinstance(world, LLMWorld) and world.train_items is None else "seed"

    @property
    def unit(self) -> str:
        """Runs that meet several conditions."""
        return "seeds" if self.replicate == "seed" else f"pairs ({self.replicate})"

    @property
    def has_train(self) -> bool:
        """Whether every run has a training curve and its final evaluation; imported logs may lack them."""
        return bool(self.rounds.size > 1 and (self.final_samples > 0).all())

    @property
    def has_base_train(self) -> bool:
        """Whether the base policy was evaluated on the training queries; an import's log may begin later."""
        return self.has_train and float(self.rounds[0]) == 0.0

    @property
    def has_test(self) -> bool:
        """Whether every run has a final test evaluation and its base."""
        return bool(np.isfinite(self.test).all() and np.isfinite(self.test_base).all())


@dataclass(frozen=True, repr=False)
class Records(Brief):
    """A study's records.

    Attributes:
        path: Folder they were read from.
        study: study.json as it stands.
        worlds: Name -> settings, in the order of the file.
        cells: Conditions by world, in the order of the file.
        infos: run.json of every run, by id.
        seconds: Recorded compute in seconds, None where no run recorded any.
    """

    path: Path
    study: dict[str, Any]
    worlds: dict[str, WorldSettings]
    cells: tuple[Cell, ...]
    infos: dict[str, dict[str, Any]]
    seconds: float | None

    def of(self, world: str) -> dict[str, Cell]:
        """Condition -> cell in one world."""
        return {c.condition: c for c in self.cells if c.world.name == world}

    def designs(self, world: str) -> dict[str, Design]:
        """Condition -> design in one world."""
        return {name: cell.design for name, cell in self.of(world).items()}


def load(path: Path | str) -> Records:
    """Read the records of a study.

    Args:
        path: The study's folder, with study.json.

    Raises:
        RecordError: A file is missing, unreadable, of another schema or inconsistent; names it.
    """
    root = Path(path)
    study = read_study(root)
    try:
        worlds = {w.name: w for w in (parse_world(w, f"worlds[{i}]") for i, w in enumerate(study["worlds"]))}
        in_force(study)  # its claims are those of the ledger and its own, all known
        for i, cell in enumerate(study["cells"]):
            if cell["world"] not in worlds:
                raise InputError(
                    f"cells[{i}].world: must be one of {', '.join(worlds)}, got {cell['world']!r}"
                )
            parse(Design, cell["design"], f"cells[{i}].design")
            parse(Evaluation, cell["evaluation"], f"cells[{i}].evaluation")
    except InputError as error:
        raise RecordError(f"{root / STUDY}: is not a study's description: {error}") from None
    read: dict[tuple[str, str], RunRecord] = {}
    cells = []
    for value in study["cells"]:
        keys = [(run_id, value["evaluation_id"]) for run_id in value["runs"]]
        new = [key for key in keys if key not in read]
        try:
            found = blocks.read_runs([root / run_id for run_id, _ in new], value["evaluation_id"])
        except RecordError:
            _check_there(root, value)
            raise
        read |= zip(new, found, strict=True)
        runs = [read[key] for key in keys]
        cells.append(_cell(worlds[value["world"]], value, runs, root))
    infos = {run_id: record.info for (run_id, _), record in read.items()}
    return Records(root, study, worlds, tuple(cells), infos, _seconds(list(read.values())))


def _check_there(root: Path, cell: dict[str, Any]) -> None:
    """Say how many runs of a condition were never recorded, where some were not.

    Raises:
        RecordError: Names one of them.
    """
    absent = [run_id for run_id in cell["runs"] if not (root / run_id / "run.json").exists()]
    if absent:
        raise RecordError(
            f"{root / absent[0]}/run.json: is missing, one of {len(absent)} runs of {cell['condition']!r} in "
            f"'{cell['world']}' (of {len(cell['runs'])}) that are not done; run the study again"
        )


def _cell(world: WorldSettings, value: dict[str, Any], runs: list[RunRecord], root: Path) -> Cell:
    if not runs:
        raise RecordError(f"{root / STUDY}: condition {value['condition']!r} names no runs")
    design = parse(Design, value["design"], value["condition"])
    evaluation = parse(Evaluation, value["evaluation"], value["condition"])
    for run in runs:
        check_agreement(run, world, design, evaluation, root / STUDY, value["condition"])
    unknown = unknown_settings(runs)
    rounds = blocks.train_rounds(world, design, evaluation, runs[0])
    tested = blocks.test_rounds(runs[0])
    final = f"final-{value['evaluation_id']}.parquet"
    together = [[run] for run in runs] if isinstance(world, ImportedWorld) else [runs]
    found = [blocks.arrays(world, some, rounds, tested, final) for some in together]
    joined = {name: np.concatenate([b[name] for b in found]) for name in found[0]}
    order = np.lexsort((joined["seed"], joined["query"]))
    arrays = {name: values[order] for name, values in joined.items()}
    keys = list(zip(arrays["query"].tolist(), arrays["seed"].tolist(), strict=True))
    if len(set(keys)) < len(keys):
        raise RecordError(f"{root / STUDY}: condition {value['condition']!r} holds a (query, seed) twice")
    start, items = arrays["start"], arrays["query"]
    return Cell(
        world=world,
        condition=value["condition"],
        design=without(design, unknown),
        evaluation=without(evaluation, unknown),
        base={int(q): _common(start[items == q]) for q in np.unique(items)},
        rounds=rounds,
        test_rounds=tested,
        unknown=unknown,
        **arrays,
    )


def _common(values: Floats) -> float:
    return float(values[0]) if (values == values[0]).all() else float(values.mean())


def _seconds(runs: list[RunRecord]) -> float | None:
    total, known = 0.0, False
    for run in runs:
        for name in SECONDS:
            column = run.rounds[name]
            known = known or column.null_count() < column.len()
            total += float(column.sum() or 0.0)
    return total if known else None


def check_agreement(
    run: RunRecord, world: WorldSettings, design: Design, evaluation: Evaluation, study: Path, condition: str
) -> None:
    """Compare what study.json says of a condition with what one of its runs says of itself.

    Args:
        run: The run.
        world: The condition's world.
        design: Its design.
        evaluation: Its evaluations.
        study: study.json, for errors.
        condition: Its name.

    Raises:
        RecordError: They differ; names both files, the field and both values.
    """
    info, where = run.info, run.folder / "run.json"
    try:
        own = _parsed(json.dumps(info.get("design")), json.dumps(info.get("evaluation")))
    except InputError as error:
        raise RecordError(f"{where}: is not a run's description: {error}") from None
    settings = info["world"]
    for said, found, fields in (
        (design, own[0], tuple(Design.model_fields)),
        (evaluation, own[1], CURVE_FIELDS),
    ):
        for name in fields:
            _check_same(getattr(said, name), getattr(found, name), name, study, condition, where)
    described = world.model_dump(mode="json", include=set(COMPARED))
    for name in described.keys() & settings.keys():
        _check_same(described[name], settings[name], f"world.{name}", study, condition, where)


@functools.lru_cache(maxsize=256)
def _parsed(design: str, evaluation: str) -> tuple[Design, Evaluation]:
    """Settings from JSON; runs of a condition share them."""
    return (
        parse(Design, json.loads(design), "design"),
        parse(Evaluation, json.loads(evaluation), "evaluation"),
    )


def _check_same(said: object, found: object, field: str, study: Path, condition: str, run: Path) -> None:
    if said != found:
        raise RecordError(
            f"{study}: condition {condition!r} says {field} = {said!r}, but {run} was made with {found!r}: "
            "one of the files was edited, or runs of different designs stand under one name"
        )


def unknown_settings(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Settings that the logs of a condition's imported runs do not say; none of other runs.

    Raises:
        RecordError: The runs differ in them; names the file.
    """
    found = [_unknown_of(run) for run in runs]
    for run, names in zip(runs, found, strict=True):
        if names != found[0]:
            raise RecordError(
                f"{run.folder / 'run.json'}: unknown settings must be those of the condition's other runs "
                f"({', '.join(found[0]) or 'none'}), got {', '.join(names) or 'none'}"
            )
    return found[0]


def _unknown_of(run: RunRecord) -> tuple[str, ...]:
    source: Any = run.info.get("imported", {})
    names = source.get("unknown", []) if isinstance(source, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordError(
            f"{run.folder / 'run.json'}: imported.unknown must be a list of names, got {names!r}"
        )
    return tuple(names)


def without(settings: M, unknown: Sequence[str]) -> M:
    """Settings with None in place of the unknown ones, so that no default passes for something known."""
    fields = type(settings).model_fields
    gone = {name: None for name in unknown if name in fields}
    if not gone:
        return settings
    return cast("M", type(settings).model_construct(**{**dict(settings), **gone}))
