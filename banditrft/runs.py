"""Study -> runs: which folders of records a study consists of, and what each is called.

A run id is a hash of everything that its records depend on (record semantics, world, learning fields,
evaluations during training, world settings, base weights, query, seeds) and of nothing else: no name enters
it, so renaming a condition moves nothing and running a study again finds what is there. Only values that
differ from a field's default enter, so a later version may add fields without orphaning records.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from banditrft.brief import Brief
from banditrft.design import CURVE_FIELDS, FINAL_FIELDS, Design, Evaluation
from banditrft.errors import InputError
from banditrft.files import sha256_of
from banditrft.study import CHUNK, Cell, Kind, Study, iterate
from banditrft.worlds import (
    ArmClass,
    ContextualWorld,
    LLMWorld,
    LumpedWorld,
    SequenceWorld,
    WorldSettings,
)
from banditrft.worlds.llm import RUNNING

SEMANTICS = {LumpedWorld: 2, ContextualWorld: 3, SequenceWorld: 1, LLMWorld: 2}
"""Version, by world, of what numbers in a record mean. Raise it when the same design gives other records."""
FILES = ("train_file", "test_file")
"""Settings that name a file, of which the content counts."""
BY_CONTENT = frozenset({"model", "revision", *FILES, "queries", "train_items"})
"""Settings of a language-model world that name what enters a run's id by its content."""
SAMPLING = ("engine", "dtype", "grader", "prompt_max", "max_new", "chat", "revision", "train_items")
"""Settings that decide base samples, beside those that were there from the beginning."""

SURPRISE = 0.1
"""Difference of two measurements of base Pass@1 that is said."""


@dataclass(frozen=True)
class Query:
    """A training query with its measured base rate.

    Attributes:
        item: Index in the task's item space; keys the random streams.
        prompt: Text the model continues.
        answer: The right answer.
        base_pass_at_1: Fraction of base samples that were right (strict).
        base_samples: How many there were.
    """

    item: int
    prompt: str
    answer: str
    base_pass_at_1: float
    base_samples: int


@dataclass(frozen=True, repr=False)
class WorldQueries(Brief):
    """What a language-model world resolves once, before any run: queries or pool, test set, base weights.

    Attributes:
        key: Hash of the settings they were resolved from.
        weights_hash: Hash of the base model (`llm_runs.base_models.BaseModel.identity`).
        test_hash: sha256 of the test items' content.
        queries: Training queries, by rising base Pass@1; none where runs train on a pool.
        pool_hash: sha256 of the pool items' content; None where runs train on one query.
        pool_left_out: Items of the pool (or candidates) whose prompts are too long, and which are not used.
        test_left_out: Test items likewise.
        told: For queries chosen from a coarse table and measured again, the base Pass@1 that the table gives;
            base_pass_at_1 is the new measurement. Empty otherwise.
    """

    key: str
    weights_hash: str
    test_hash: str
    queries: tuple[Query, ...]
    pool_hash: str | None = None
    pool_left_out: int = 0
    test_left_out: int = 0
    told: tuple[float, ...] = ()

    def surprises(self) -> list[str]:
        """Queries that another measurement finds far easier or harder than the table did, one line each."""
        return [
            f"queries: item {query.item} has base Pass@1 {query.base_pass_at_1:.3f} in {query.base_samples} "
            f"samples, not {told:.3f} as in the coarse table that it was chosen from"
            for query, told in zip(self.queries, self.told, strict=False)
            if abs(query.base_pass_at_1 - told) > SURPRISE
        ]


@dataclass(frozen=True, repr=False)
class Run(Brief):
    """One folder of records: a condition in a world, for a chunk of seeds (simulated) or one seed (LLM).

    `pair` is the id of the run whose recorded rewards a yoked placebo of a language model is given. Simulated
    worlds make that run anew.
    """

    run_id: str
    world: WorldSettings
    condition: str
    design: Design
    evaluation: Evaluation
    root_seed: int
    seeds: range
    query: Query | None = None
    pair: str | None = None

    @property
    def evaluation_id(self) -> str:
        """Hash of the final evaluation."""
        return digest(self.evaluation.model_dump(include=set(FINAL_FIELDS)))[:8]

    def label(self) -> str:
        """One line for people: world, condition, query, seeds."""
        query = f" query {self.query.item}" if self.query else ""
        last = self.seeds[-1]
        seeds = f"seed {last}" if len(self.seeds) == 1 else f"seeds {self.seeds[0]}-{last}"
        return f"{self.world.name} · {self.condition} ·{query} {seeds}"


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of a value, hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def expand(study: Study, kind: Kind, queries: Mapping[str, WorldQueries] | None = None) -> list[Run]:
    """All runs of a study in one kind of world, in the order of the file; equal conditions share runs.

    Args:
        study: A resolved study.
        kind: "sim" or "llm".
        queries: World name -> resolved queries; needed for "llm".
    """
    runs: list[Run] = []
    for cell in iterate(study, kind):
        runs += (
            _llm_runs(study, cell, (queries or {})[cell.world.name])
            if kind == "llm"
            else _sim_runs(study, cell)
        )
    return runs


def _sim_runs(study: Study, cell: Cell) -> list[Run]:
    total = cell.world.seeds
    chunks = [range(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    return [_run(study, cell, seeds, {}, None) for seeds in chunks]


def _llm_runs(study: Study, cell: Cell, resolved: WorldQueries) -> list[Run]:
    seeds = [range(seed, seed + 1) for seed in range(cell.world.seeds)]
    extra = {"weights": resolved.weights_hash, "test": resolved.test_hash}
    if resolved.pool_hash is not None:
        return [_run(study, cell, seed, {**extra, "pool": resolved.pool_hash}, None) for seed in seeds]
    runs = []
    for query in resolved.queries:
        content = {"prompt": query.prompt, "answer": query.answer, "item": query.item}
        placebo = cell.design.reward == "random" and cell.design.rate == "base"
        if placebo or cell.design.match_step_size:
            content["base_pass_at_1"] = query.base_pass_at_1
        runs += [_run(study, cell, seed, {**extra, "query": digest(content)}, query) for seed in seeds]
    return runs


def _run(study: Study, cell: Cell, seeds: range, extra: dict[str, str], query: Query | None) -> Run:
    def identity(design: Design) -> str:
        key = {
            "semantics": SEMANTICS[type(cell.world)],
            "learning": design.model_dump(mode="json", exclude_defaults=True),
            "curve": cell.evaluation.model_dump(include=set(CURVE_FIELDS), exclude_defaults=True),
            "world": world_key(cell.world, design),
            "root_seed": study.root_seed,
            "seeds": [seeds.start, seeds.stop],
            **extra,
        }
        return digest(key)[:16]

    recorded = cell.design.reward == "yoked" and isinstance(cell.world, LLMWorld)
    return Run(
        identity(cell.design),
        cell.world,
        cell.condition,
        cell.design,
        cell.evaluation,
        study.root_seed,
        seeds,
        query,
        identity(cell.design.treatment) if recorded else None,
    )


def world_key(world: WorldSettings, design: Design | None = None) -> dict[str, Any]:
    """The part of a world's settings that records (of a design) depend on: no names, no number of seeds."""
    if isinstance(world, LLMWorld):
        drop = {"name", "seeds"} | BY_CONTENT | RUNNING
        if design is not None and design.aggregation == "micro-batch-mean":
            drop -= {"micro_batch"}
    elif isinstance(world, LumpedWorld):
        drop = {"name", "seeds", "classes"}
    elif isinstance(world, SequenceWorld):
        drop = {"name", "seeds", *(("tokens", "base_pass_at_1") if world.profile else ())}
    else:
        drop = {"name", "seeds"}
    key = world.model_dump(mode="json", exclude=drop, exclude_defaults=True) | {"kind": world.kind}
    if isinstance(world, LumpedWorld):
        key |= {
            "world": world.world,
            "classes": [] if world.law else [_class_key(c) for c in world.classes],
        }
    elif isinstance(world, ContextualWorld):
        key["world"] = world.world
        if world.features is not None:
            key["features"] = world.features_hash()
    elif isinstance(world, SequenceWorld):
        key["world"] = world.world
    return key


def _class_key(arms: ArmClass) -> dict[str, Any]:
    return arms.model_dump(exclude={"name"}, exclude_defaults=True)


def sampling_key(world: LLMWorld) -> str:
    """Hash of what decides a task's questions and the responses to them, beside model, task and temperature.

    Raises:
        InputError: A file that the world names cannot be read.
    """
    fields = set(SAMPLING) - {"engine", "revision", "train_items"}
    chosen = world.model_dump(mode="json", include=fields, exclude_defaults=True)
    chosen |= {name: _content(name, path) for name in FILES if (path := getattr(world, name)) is not None}
    return digest(chosen)[:16]


def queries_key(world: LLMWorld, root_seed: int) -> str:
    """Hash of all that the choice of queries, pool and test set depends on, beside the base weights.

    Raises:
        InputError: A file that the world names cannot be read.
    """
    chosen = world.model_dump(mode="json", include={"model", "task", "queries", "test_items", "temperature"})
    late = world.queries.model_dump(mode="json", include={"items", "file"}, exclude_defaults=True)
    for name in ("items", "file"):
        chosen["queries"].pop(name)
    if world.queries.file is not None:
        late["file"] = _content("queries.file", world.queries.file)
    chosen["queries"] |= late
    chosen |= world.model_dump(mode="json", include=set(SAMPLING), exclude_defaults=True)
    chosen |= {name: _content(name, path) for name in FILES if (path := getattr(world, name)) is not None}
    return digest({**chosen, "root_seed": root_seed})[:16]


def _content(field: str, path: str) -> str:
    """sha256 of a file, hex."""
    try:
        return sha256_of(Path(path))
    except OSError as error:
        raise InputError(f"{field}: {path}: cannot be read ({error.strerror})") from None
