"""Pulls of lumped bandits in lockstep: draw slots and rewards, name the arms once it is known which matter.

`sims.lumped.general` says why that order is exact. Nothing here moves a logit or knows a learning signal.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, block, unit
from sims.lumped.arms import Arms, Floats, Ints, split

SCAN = 16
"""Slots that are counted through rather than halved further."""


@kernel
def find(mass_S: Floats, used: int, point: float) -> int:
    """The slot whose part of [0, total mass) holds ``point``; ``mass_S`` is cumulative."""
    low, high = 0, used
    while high - low > SCAN:
        middle = (low + high) // 2
        if point < mass_S[middle - 1]:
            high = middle
        else:
            low = middle
    passed = 0
    for s in range(low, high - 1):
        passed += point >= mass_S[s]
    low += passed
    while low > 0 and mass_S[low] == mass_S[low - 1]:  # rounding left the point past the last arm
        low -= 1
    return low


@kernel
def draw(
    state: Arms,
    mass_S: Floats,
    root_seed: int,
    purpose: int,
    seeds_R: Ints,
    round_: int,
    first: int,
    reward_C: Floats,
    value_C2: Floats,
    if_wrong: float,
    if_right: float,
    slot_RM: Ints,
    which_RM: Floats,
    correct_RM: NDArray[np.bool_],
    rewards_RM: Floats,
) -> None:
    """Draw M pulls of every replicate from its current policy, rollouts ``first`` on of the round.

    Args:
        state: Replicates; weights must be current.
        mass_S: Scratch.
        root_seed: First key word of the random numbers.
        purpose: Of the random numbers.
        seeds_R: Second key word.
        round_: Round, from 1.
        first: Rollout number of the first pull.
        reward_C: P(correct) of each class.
        value_C2: What the learner is given for the low and the high reward of a class.
        if_wrong: P(high reward) of a wrong answer; negative where the reward is the grade itself.
        if_right: Of a right one.
        slot_RM: Written: slots.
        which_RM: Written: the uniform numbers that will name the arms.
        correct_RM: Written: right answers.
        rewards_RM: Written: rewards.
    """
    place = np.uint64(round_) << ROLLOUT_BITS
    for r in range(len(seeds_R)):
        used, total = state.used_R[r], 0.0
        for s in range(used):
            total += state.n_RS[r, s] * state.w_RS[r, s]
            mass_S[s] = total
        for i in range(slot_RM.shape[1]):
            words = block(
                np.uint64(root_seed),
                np.uint64(seeds_R[r]),
                np.uint64(0),
                place | np.uint64(first + i),
                np.uint64(0),
                np.uint64(purpose),
            )
            slot = find(mass_S, used, unit(words[0]) * total)
            c = state.class_RS[r, slot]
            right = unit(words[2]) < reward_C[c]
            high = right
            if if_right >= 0.0:
                high = unit(words[3]) < (if_right if right else if_wrong)
            slot_RM[r, i], which_RM[r, i], correct_RM[r, i] = slot, unit(words[1]), right
            rewards_RM[r, i] = value_C2[c, 1 if high else 0]


@kernel
def name_arms(
    state: Arms, lumps: int, slot_RM: Ints, which_RM: Floats, heard_RM: NDArray[np.bool_], gone_C: Ints,
    parent_M: Ints,
) -> None:  # fmt: skip
    """Replace the slots of pulls that were heard by their arms', splitting lumps; the others' by -1.

    A lump of n arms at the start of the round, j of which have been named in it, repeats one of those j with
    probability j/n (theory §1).

    Args:
        state: Replicates, with room for M more slots.
        lumps: C.
        slot_RM: Slots, changed.
        which_RM: Uniform numbers.
        heard_RM: Pulls that move a logit.
        gone_C: Scratch, zeros.
        parent_M: Scratch.
    """
    for r in range(slot_RM.shape[0]):
        old = state.used_R[r]
        top = old
        for i in range(slot_RM.shape[1]):
            slot = slot_RM[r, i]
            if not heard_RM[r, i]:
                slot_RM[r, i] = -1
                continue
            if slot >= lumps:
                continue
            gone = gone_C[slot]
            size = state.n_RS[r, slot] + gone
            if size == 1.0:
                continue
            which = math.floor(which_RM[r, i] * size)
            if which < gone:
                seen, b = -1, -1
                while seen < which:
                    b += 1
                    seen += parent_M[b] == slot
                slot_RM[r, i] = old + b
                continue
            split(state, r, slot, top)
            parent_M[top - old] = slot
            gone_C[slot] += 1
            slot_RM[r, i] = top
            top += 1
        for b in range(top - old):
            gone_C[parent_M[b]] = 0
        state.used_R[r] = top
