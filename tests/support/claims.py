"""Records in memory with every number set by hand, for the tests of the claims' types."""

from pathlib import Path

import numpy as np

from analysis import wording
from analysis.loading.records import Cell, Records
from banditrft.design import Design, Evaluation
from banditrft.worlds import ArmClass, ContextualWorld, LLMWorld, LumpedWorld

SEEDS = 24
ROUNDS = np.arange(0.0, 41.0, 4.0)


def contextual(name="contextual", base=0.1, items=1, draw=None):
    return ContextualWorld(name=name, seeds=SEEDS, base_pass_at_1=base, train_items=items, draw=draw)


def lumped(name="lumped", p=0.2):
    classes = (
        ArmClass(name="correct", arms=1, mass=p, reward=1.0),
        ArmClass(name="wrong", arms=9, mass=1 - p, reward=0.0),
    )
    return LumpedWorld(name=name, seeds=SEEDS, classes=classes)


def llm(name="tiny-qwen2"):
    return LLMWorld(name=name, model="tiny-qwen2", seeds=SEEDS)


def design(**fields):
    return Design(**{"learning_rate": 0.01, "rounds": 40, **fields})


def cell(
    world,
    condition,
    of,
    *,
    query=None,
    start=0.1,
    curve=None,
    final=1.0,
    test=None,
    base=0.3,
    noise=0.004,
    lenient=None,
):
    """One condition: `curve` (N, E), `final`, `test` and `base` per run or one for all; noise is added to test."""
    query = np.zeros(SEEDS, dtype=np.int64) if query is None else np.asarray(query)
    n = query.size
    rng = np.random.default_rng([ord(c) for c in condition + world.name])
    train = np.broadcast_to(np.full(ROUNDS.size, 0.5) if curve is None else curve, (n, ROUNDS.size))
    tested = np.full(n, np.nan) if test is None else np.asarray(test) + noise * rng.standard_normal(n)
    bases = np.full(n, np.nan) if test is None else np.full(n, base) + noise * rng.standard_normal(n)
    soft = tested if lenient is None else np.asarray(lenient) + noise * rng.standard_normal(n)
    seeds = (
        np.arange(n)
        if np.unique(query).size == 1
        else np.concatenate([np.arange(np.sum(query == q)) for q in np.unique(query)])
    )
    starts = np.full(n, start) if np.isscalar(start) else np.asarray(start)
    return Cell(
        world=world,
        condition=condition,
        design=of,
        evaluation=Evaluation(),
        query=query,
        seed=seeds,
        base={int(q): float(starts[query == q][0]) for q in np.unique(query)},
        start=starts,
        rounds=ROUNDS,
        train=np.array(train, dtype=np.float64),
        train_samples=np.full((n, ROUNDS.size), 64),
        final_correct=np.broadcast_to(np.round(512 * np.asarray(final)).astype(np.int64), (n,)),
        final_samples=np.full(n, 512),
        test=tested,
        test_base=bases,
        test_lenient=soft,
        test_base_lenient=bases,
        test_samples=np.full((n, 2), 4000),
        test_rounds=np.array([0.0, 20.0, 40.0]),
        test_curve=np.stack([bases, (bases + tested) / 2, tested], axis=1),
        test_curve_samples=np.full((n, 3), 4000),
    )


def placebo(world, *, reward="random", of=None, **fields):
    """A placebo that learns nothing: train .5 and test .3, the base, unless stated otherwise."""
    known = {"test": 0.3, "final": 0.5} if isinstance(world, ContextualWorld | LLMWorld) else {"final": 0.5}
    return cell(world, f"placebo {reward}", design(**{**(of or {}), "reward": reward}), **{**known, **fields})


def records(claims, *cells):
    """Records of these cells, as `analysis.load` would give them."""
    worlds = {c.world.name: c.world for c in cells}
    study = {"name": "by hand", "claims": list(claims), "root_seed": 0, "text": "", "command": "none"}
    return Records(Path("nowhere"), study, worlds, tuple(cells), {}, None)


def words(part):
    """Label, unit, sentence and detail of a component."""
    return wording.part(part)


def labels(part):
    """Labels of a component's secondary readings."""
    return [wording.secondary(item) for item in part.secondary]


def notes(verdict):
    """Sentences under a verdict."""
    return verdict.to_dict()["notes"]
