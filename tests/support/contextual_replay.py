"""A plain replay of the contextual world, one seed at a time, that shares the simulator's random numbers only.

Answers are drawn and rewards heard as `sims.contextual.simulator` says; the caller learns from them, in NumPy or torch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import ContextualWorld
from sims.contextual.contexts import Contexts, draw, frame
from sims.contextual.simulator import ContextualPaths, simulate

ROOT = 5
Floats = NDArray[np.float64]
VALUES = {"minus-one-zero": (-1.0, 0.0), "minus-one-one": (-1.0, 1.0)}


@dataclass(frozen=True)
class Setting:
    """A drawn world, with the seeds it was drawn for."""

    world: ContextualWorld
    mu_PD: Floats
    w0_PD: Floats
    pool: Contexts
    test: Contexts
    seeds: list[int] = field(default_factory=list)


def setting(world: ContextualWorld, seeds: range | list[int], axes: bool = False) -> Setting:
    """Draw a world; ``axes`` puts mu and v on the first two axes."""
    directions = np.eye(2, world.dimension) if axes else None
    made = draw(world, ROOT, seeds, directions)
    mu_PD = frame(world, ROOT, seeds, directions).mu_PD
    return Setting(world, mu_PD, made.w0_PD, made.pool, made.test, list(seeds))


def train(
    made: Setting, keep: tuple[int, ...] | range, factor: float = 1.0, **design: object
) -> ContextualPaths:
    """Run a design in a drawn world."""
    return simulate(
        made.w0_PD,
        made.pool,
        Design(**design),  # type: ignore[arg-type]
        root_seed=ROOT,
        seeds=made.seeds,
        keep_rounds=keep,
        arm_noise=made.world.arm_noise,
        partial=made.world.partial,
        factor=factor,
    )


def sequence(seed: int, items: int, length: int) -> list[int]:
    """The first queries that a seed trains on: permutations by swapping every place from the end."""
    out: list[int] = []
    for epoch in range(-(-length // items)):
        u = uniforms(ROOT, [seed], [0], Purpose.ORDER, epoch, 1, max(items - 1, 1))[0, 0]
        order = list(range(items))
        for i in range(items - 1, 0, -1):
            j = int(u[items - 1 - i] * (i + 1))
            order[i], order[j] = order[j], order[i]
        out += order
    return out[:length]


def heard(design: Design, partial: float, right: Floats, u: Floats, base_B1: Floats) -> Floats:
    """Rewards of answers (B, G), whose fourth words are ``u``."""
    low, high = VALUES.get(design.reward, (0.0, 1.0))
    if design.reward == "random":
        return np.where(u < (base_B1 if design.rate == "base" else design.rate), high, low)
    if design.reward == "graded":
        return np.where(right == 1, 1.0, np.where(u < partial, 0.5, 0.0))
    if design.reward == "noisy":
        rate = np.where(right == 1, 1 - design.false_negative, design.false_positive)
        return np.where(u < rate, high, low)
    return np.where(right == 1, high, low)


def population(design: Design, fresh: Floats, baseline: Floats, past: list[float]) -> Floats:
    """Rewards that a group's statistics are made of: its own, the baseline's, the newest of the past."""
    current = np.concatenate([fresh, baseline])
    room = max(0, design.replay_window - len(current))
    return np.concatenate([current, np.array(past[::-1][:room])])


def word_pairs(seed: int, items: list[int], round_: int, first: int, count: int) -> Floats:
    """Two numbers for each of ``count`` rollouts of a batch's queries, from rollout ``first`` on: (B, count, 2).

    Four rollouts share an address, the first one's: words 2, 3, 0, 1 of its block 0 and of its block 1.
    """
    out = np.zeros((len(items), count, 2))
    for b, n in enumerate(items):
        for g in range(count):
            address = first + b * count + g // 4 * 4
            u = uniforms(ROOT, [seed], [n], Purpose.SAMPLE, round_, [address], 8)[0, 0]
            word = (2 + g % 4) % 4
            out[b, g] = u[word], u[4 + word]
    return out


def replay(
    made: Setting,
    seed: int,
    design: Design,
    pass_at_1: Callable[[Floats, Floats], Floats],
    learn: Callable[[list[int], Floats, Floats, list[Floats]], None],
) -> None:
    """Go through all rounds of one seed.

    Args:
        made: The drawn world.
        seed: One of its seeds.
        design: What the learner does.
        pass_at_1: Contexts (B, D) and offsets (B,) -> Pass@1 (B,) of the policy as it stands.
        learn: Told the batch's items, answers (B, G), rewards (B, G) and each group's population.
    """
    row = made.seeds.index(seed)
    u_ND, offset_N = made.pool.u_PND[row], made.pool.offset_PN[row]
    base_N = 1 / (1 + np.exp(-(u_ND @ made.w0_PD[row] + offset_N)))
    B, G, M = design.batch_size, design.rollouts, design.baseline_rollouts
    order = sequence(seed, len(u_ND), design.rounds * B)
    past: dict[int, list[float]] = {n: [] for n in range(len(u_ND))}
    for t in range(1, design.rounds + 1):
        items = order[(t - 1) * B : t * B]
        p_B1 = pass_at_1(u_ND[items], offset_N[items])[:, None]

        words = word_pairs(seed, items, t, 0, G)
        right = (words[..., 0] < p_B1).astype(float)
        fresh = heard(design, made.world.partial, right, words[..., 1], base_N[items][:, None])
        words = word_pairs(seed, items, t, B * G, M)
        others = (words[..., 0] < p_B1).astype(float)
        extra = heard(design, made.world.partial, others, words[..., 1], base_N[items][:, None])
        known = [population(design, fresh[b], extra[b], past[n]) for b, n in enumerate(items)]
        for b, n in enumerate(items):
            past[n] += [*fresh[b], *extra[b]]
        learn(items, right, fresh, known)
