"""What diagrams share: running cells side by side, standard errors, prose."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft.design import Design, Evaluation
from banditrft.runs import Run
from banditrft.worlds import ContextualWorld
from sims.study import execute

Cell = TypeVar("Cell")
Row = dict[str, Any]
Floats = NDArray[np.float64]
ROOT_SEED = 0
"""Root seed of every published figure."""


def in_parallel(run: Callable[[Cell], Iterable[Row]], cells: Iterable[Cell]) -> list[Row]:
    """Rows of every cell, in the order of the cells; threads, since compiled rounds release the lock."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return [row for rows in pool.map(run, cells) for row in rows]


class Sizes(Protocol):
    """The part of a diagram's grid that every contextual world needs."""

    @property
    def dimension(self) -> int:
        """d, length of a context."""

    @property
    def test_items(self) -> int:
        """Held-out contexts."""


def contextual(seeds: int, sizes: Sizes, **settings: Any) -> ContextualWorld:
    """A contextual world of so many seeds; settings not given have the world's defaults."""
    return ContextualWorld(
        seeds=seeds,
        dimension=sizes.dimension,
        test_items=sizes.test_items,
        keep_groups=False,
        **settings,
    )


@dataclass(frozen=True)
class Curves:
    """Exact Pass@1 of R seeds after each of E rounds of evaluation, the first being round 0."""

    rounds_E: NDArray[np.int64]
    train_RE: Floats
    test_RE: Floats

    def at(self, level: float) -> tuple[Floats, Floats]:
        """Round at which each seed's train Pass@1 first passes a level, and its test Pass@1 there.

        Linear in the train log-odds between evaluations; NaN for a seed that never does.
        """
        rounds_R, test_R = np.full((2, len(self.train_RE)), np.nan)
        wanted = np.log(level / (1 - level))
        log_odds_RE = np.log(self.train_RE) - np.log1p(-self.train_RE)
        for r, log_odds_E in enumerate(log_odds_RE):
            e = int(np.argmax(log_odds_E >= wanted))
            if log_odds_E[e] < wanted:
                continue
            span = log_odds_E[e] - log_odds_E[e - 1] if e else 1.0
            back = (log_odds_E[e] - wanted) / span if e else 0.0
            before = max(e - 1, 0)
            rounds_R[r] = self.rounds_E[e] - back * (self.rounds_E[e] - self.rounds_E[before])
            test_R[r] = self.test_RE[r, e] - back * (self.test_RE[r, e] - self.test_RE[r, before])
        return rounds_R, test_R


def curves(design: Design, world: ContextualWorld, every: int, test: bool = True) -> Curves:
    """Train and test Pass@1 of a contextual cell, through the simulator's front door.

    Args:
        design: The condition.
        world: Gives the number of seeds, 0, 1, ...
        every: Rounds between evaluations.
        test: Whether the test set is evaluated with the training pool; else its two ends alone are.
    """
    evaluation = Evaluation(
        eval_every=every,
        eval_samples=1,
        test_every=every if test else None,
        final_eval_samples=1,
        final_test_samples=1,
    )
    run = Run("diagram", world, "cell", design, evaluation, ROOT_SEED, range(world.seeds))
    evals = execute(run).evals
    split = {
        name: evals.filter(pl.col("split") == name)["p_exact"].to_numpy().reshape(world.seeds, -1)
        for name in ("train", "test")
    }
    rounds_E = np.unique(evals["round"].to_numpy()).astype(np.int64)
    return Curves(rounds_E, split["train"], split["test"])


def error(values_R: NDArray[Any]) -> float:
    """Monte-Carlo standard error of a mean over replicates."""
    return float(np.std(values_R, ddof=1) / np.sqrt(len(values_R)))


def share_error(hits: int, of: int) -> float:
    """Standard error of a share, by the Agresti-Coull rule so that 0 of n is not certain."""
    p = (hits + 2) / (of + 4)
    return float(np.sqrt(p * (1 - p) / (of + 4)))


def ratio_error(top_R: NDArray[Any], bottom_R: NDArray[Any]) -> float:
    """Delta-method standard error of mean(top) / mean(bottom), replicates paired."""
    ratio = np.mean(top_R) / np.mean(bottom_R)
    return error(np.asarray(top_R, float) - ratio * np.asarray(bottom_R, float)) / float(np.mean(bottom_R))


def prose(text: str) -> str:
    """Paragraphs of a triple-quoted text, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def low(values: pl.Series) -> float:
    """Smallest value of a column without nulls."""
    return float(values.to_numpy().min())


def high(values: pl.Series) -> float:
    """Largest value of a column without nulls."""
    return float(values.to_numpy().max())


def middle(values: pl.Series) -> float:
    """Median of a column without nulls."""
    return float(np.median(values.to_numpy()))
