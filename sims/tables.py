"""Simulated paths -> the records that every world writes (`banditrft.records`).

Evaluations are drawn as a language model's would be, by counting correct samples, from streams of their own;
the exact Pass@1 stands beside each count. Nothing is timed here: seconds are null.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft.design import Design, Evaluation
from banditrft.records import EVALS, GROUPS, ROUNDS, Schema
from banditrft.streams import Purpose
from sims.learner import Learner, reward_sums
from sims.philox import binomials

Values = dict[str, NDArray[np.generic] | Sequence[object] | str | int | None]


def frame(schema: Schema, values: Values, height: int) -> pl.DataFrame:
    """A table of a schema; columns not given are null, scalars are repeated."""
    columns = {}
    for name, dtype in schema.items():
        value = values.get(name)
        if isinstance(value, np.ndarray):
            columns[name] = pl.Series(name, value.ravel(), dtype=dtype)
        else:
            columns[name] = pl.Series(name, [value], dtype=dtype).new_from_index(0, height)
    return pl.DataFrame(columns)


def eval_grid(rounds: int, every: int | None) -> NDArray[np.int64]:
    """Rounds of evaluation: 0, every, 2 every, ..., and the last; without ``every`` the two ends."""
    return np.unique(np.append(np.arange(0, rounds + 1, every or rounds), rounds)).astype(np.int64)


def rounds_table(
    design: Design, learner: Learner, seeds_R: NDArray[np.int64], high_RT: NDArray[np.int32]
) -> pl.DataFrame:
    """The `rounds` table: what the learner saw, by seed and round."""
    R, T = high_RT.shape
    mean_S, var_S = learner.moments_S()
    silent_S = (mean_S == 0.0) & (var_S == 0.0)
    values: Values = {
        "seed": np.repeat(seeds_R, T),
        "round": np.tile(np.arange(1, T + 1), R),
        "reward_mean": reward_sums(design, high_RT) / design.rollouts,
        "signal_mean": mean_S[high_RT],
        "signal_var": var_S[high_RT],
        "zero_signal_fraction": silent_S[high_RT].astype(float),
    }
    return frame(ROUNDS, values, R * T)


def groups_table(
    design: Design, seeds_R: NDArray[np.int64], high_RT: NDArray[np.int32], correct_RT: NDArray[np.int32]
) -> pl.DataFrame:
    """The `groups` table: one group a round, of item 0."""
    R, T = high_RT.shape
    values: Values = {
        "seed": np.repeat(seeds_R, T),
        "round": np.tile(np.arange(1, T + 1), R),
        "item": 0,
        "n": design.rollouts,
        "reward_sum": reward_sums(design, high_RT),
        "correct_strict": correct_RT,
        "correct_lenient": correct_RT,
    }
    return frame(GROUPS, values, R * T)


def evals_table(
    split: str,
    seeds_R: NDArray[np.int64],
    rounds_E: NDArray[np.int64],
    n: int,
    correct_RE: NDArray[np.int64],
    p_RE: NDArray[np.float64],
) -> pl.DataFrame:
    """Evaluations of the training query (item 0) or of the whole test split (item null)."""
    R, E = p_RE.shape
    values: Values = {
        "seed": np.repeat(seeds_R, E),
        "round": np.tile(rounds_E, R),
        "split": split,
        "item": 0 if split == "train" else None,
        "n": n,
        "reward_sum": correct_RE.astype(float),
        "correct_strict": correct_RE,
        "correct_lenient": correct_RE,
        "p_exact": p_RE,
    }
    return frame(EVALS, values, R * E)


def train_tables(
    evaluation: Evaluation,
    root_seed: int,
    seeds_R: NDArray[np.int64],
    rounds_E: NDArray[np.int64],
    p_RE: NDArray[np.float64],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Evaluations of the training query: those during training, and the final one."""
    curve = np.empty(p_RE.shape, np.int64)
    binomials(root_seed, seeds_R, rounds_E, int(Purpose.EVAL_TRAIN), evaluation.eval_samples, p_RE, curve)
    n = evaluation.final_eval_samples
    last_E, last_RE = rounds_E[-1:], np.ascontiguousarray(p_RE[:, -1:])
    final = np.empty(last_RE.shape, np.int64)
    binomials(root_seed, seeds_R, last_E, int(Purpose.FINAL_TRAIN), n, last_RE, final)
    return (
        evals_table("train", seeds_R, rounds_E, evaluation.eval_samples, curve, p_RE),
        evals_table("train", seeds_R, last_E, n, final, last_RE),
    )
