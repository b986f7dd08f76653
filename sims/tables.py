"""Simulated paths -> the records that every world writes (`banditrft.records`).

Evaluations are drawn as a language model's would be, by counting correct samples, from streams of their own;
the exact Pass@1 stands beside each count. Nothing is timed here: seconds are null.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.records import EVALS, GROUPS, ROUNDS, Schema
from banditrft.streams import Purpose
from banditrft.study import CHUNK
from banditrft.worlds import SimWorld
from sims.compiled.philox import binomials
from sims.trace import Trace

LARGEST_TABLE = 2**25
"""Most rows in one table of one run: some 100 bytes each while it is made."""
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


def check_size(design: Design, world: SimWorld) -> None:
    """Refuse runs whose tables would not fit in memory, before anything is run.

    Raises:
        InputError: More than LARGEST_TABLE rounds, or groups that are kept.
    """
    rounds = min(world.seeds, CHUNK) * design.rounds
    if rounds > LARGEST_TABLE:
        raise InputError(
            f"rounds: times a run's seeds must be at most {LARGEST_TABLE}, got {design.rounds} x "
            f"{min(world.seeds, CHUNK)}"
        )
    if world.keep_groups and rounds * design.batch_size > LARGEST_TABLE:
        raise InputError(
            f"keep_groups: must be false above {LARGEST_TABLE} groups in a run (seeds x rounds x batch), "
            f"got true with {rounds * design.batch_size}"
        )


def eval_grid(rounds: int, every: int | None) -> NDArray[np.int64]:
    """Rounds of evaluation: 0, every, 2 every, ..., and the last; without ``every`` the two ends."""
    return np.unique(np.append(np.arange(0, rounds + 1, every or rounds), rounds)).astype(np.int64)


def rounds_table(
    seeds_R: NDArray[np.int64],
    trace: Trace,
    rounds_E: NDArray[np.int64] | None = None,
    entropy_RE: NDArray[np.float64] | None = None,
    kl_RE: NDArray[np.float64] | None = None,
) -> pl.DataFrame:
    """The `rounds` table: what the learner saw, by seed and round.

    Args:
        seeds_R: Seed of each replicate.
        trace: Its rounds; a NaN is recorded as null.
        rounds_E: Rounds after which the policy was looked at; round 0 has no row.
        entropy_RE: Entropy of the policy then, nats.
        kl_RE: KL divergence from the initial policy then, nats.
    """
    R, T = trace.reward_mean_RT.shape
    looked = {"entropy": entropy_RE, "kl": kl_RE}
    columns = {
        "reward_mean": trace.reward_mean_RT,
        "signal_mean": trace.signal_mean_RT,
        "signal_var": trace.signal_var_RT,
        "zero_signal_fraction": trace.zero_signal_RT,
        "update_norm": trace.update_norm_RT,
        **{name: _at_rounds(values, rounds_E, T) for name, values in looked.items() if values is not None},
    }
    values: Values = {"seed": np.repeat(seeds_R, T), "round": np.tile(np.arange(1, T + 1), R), **columns}
    return frame(ROUNDS, values, R * T).with_columns(pl.col(list(columns)).fill_nan(None))


def _at_rounds(
    values_RE: NDArray[np.float64], rounds_E: NDArray[np.int64] | None, rounds: int
) -> NDArray[np.float64]:
    """Values after the rounds 1..T, NaN where there are none."""
    out_RT = np.full((len(values_RE), rounds + 1), np.nan)
    out_RT[:, rounds_E] = values_RE
    return out_RT[:, 1:]


def groups_table(seeds_R: NDArray[np.int64], trace: Trace, n: int) -> pl.DataFrame:
    """The `groups` table: one row per seed, round and group of n rollouts; none where groups are not kept."""
    R, T, B = trace.correct_RTB.shape
    values: Values = {
        "seed": np.repeat(seeds_R, T * B),
        "round": np.tile(np.repeat(np.arange(1, T + 1), B), R),
        "item": trace.items_RTB,
        "n": n,
        "reward_sum": trace.reward_sum_RTB,
        "correct_strict": trace.correct_RTB,
        "correct_lenient": trace.correct_RTB,
    }
    return frame(GROUPS, values, R * T * B)


def evals_table(
    split: str,
    seeds_R: NDArray[np.int64],
    rounds_E: NDArray[np.int64],
    n: int,
    correct_RE: NDArray[np.int64],
    p_RE: NDArray[np.float64],
    *,
    pool: bool = False,
) -> pl.DataFrame:
    """Evaluations of one training query (item 0), or of a whole pool or test split (item null).

    Args:
        split: "train" or "test".
        seeds_R: Seed of each replicate.
        rounds_E: Rounds of evaluation.
        n: Samples of each.
        correct_RE: How many were right.
        p_RE: Exact Pass@1, the mean over the split.
        pool: Whether a "train" row stands for a pool of several queries.
    """
    R, E = p_RE.shape
    values: Values = {
        "seed": np.repeat(seeds_R, E),
        "round": np.tile(rounds_E, R),
        "split": split,
        "item": 0 if split == "train" and not pool else None,
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
