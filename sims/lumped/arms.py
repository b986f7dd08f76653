"""Lumped bandits in lockstep: the slots of R replicates, their policy, their pulls (theory §1).

The state of the general path (`sims.lumped.general`). Where `sims.lumped.slots` keeps weights of one
replicate, here logits are kept as they are, so that a penalty may lift an arm again from any depth. The first
C slots of a replicate are its lumps of arms never named; every later one is a single arm.
`sims.lumped.simulator` says why this is exact.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.compiled.exponential import exp
from sims.compiled.jit import kernel, reduction
from sims.compiled.philox import ROLLOUT_BITS, block, unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EMPTY = -1e5
"""Logit of a lump without arms: it has no mass, and must not be the largest."""
LOWEST = -700.0
"""Log-probabilities relative to the likeliest arm's count as at least this."""


class Arms(NamedTuple):
    """State of R replicates, S slots each at most, C classes."""

    logit_RS: Floats
    """Own logit of one arm of the slot."""
    n_RS: Floats
    """Arms in the slot."""
    class_RS: Ints
    """Class of its arms."""
    w_RS: Floats
    """Probability of one arm times the replicate's Z; current after `softmax`."""
    m_RS: Floats
    """Adam's first moment of one arm's logit."""
    v_RS: Floats
    """Adam's second moment."""
    g_RS: Floats
    """Gradient from pulls of the arm itself; zero between updates."""
    change_RS: Floats
    """What the round's updates so far have added to the logit."""
    shared_4RC: Floats
    """Shared parameter of each class, its two moments, and its change in the round."""
    used_R: Ints
    """Slots in use."""
    Z_R: Floats
    """Sum over slots of n w."""
    log_Z_R: Floats
    """Logarithm of the sum of e^(full logit) over all arms."""


def allocate(logit_C: Floats, arms_C: Floats, replicates: int, slots: int) -> Arms:
    """R replicates at the start, with room for ``slots`` slots each."""
    R, C = replicates, len(arms_C)
    logit, n, w, m, v, g, change = (np.zeros((R, slots)) for _ in range(7))
    logit[:, :C], n[:, :C] = logit_C, arms_C
    class_RS = np.zeros((R, slots), np.int64)
    class_RS[:, :C] = np.arange(C)
    shared_4RC = np.zeros((4, R, C))
    rest = np.full(R, C), np.zeros(R), np.zeros(R)
    return Arms(logit, n, class_RS, w, m, v, g, change, shared_4RC, *rest)


def with_room(state: Arms, slots: int) -> Arms:
    """The same state with room for at least ``slots`` slots in every replicate."""
    have = state.n_RS.shape[1]
    if have >= slots:
        return state
    more = max(slots, 2 * have) - have
    wider = {
        name: np.pad(values, ((0, 0), (0, more)))
        for name, values in state._asdict().items()
        if values.shape == state.n_RS.shape
    }
    return state._replace(**wider)


@reduction
def softmax_row(z_S: Floats, n_S: Floats) -> tuple[float, float]:
    """Replace full logits by weights relative to the largest; the sum of n w and the largest logit."""
    top = z_S[0]
    for s in range(len(z_S)):
        top = max(top, z_S[s])
    total = 0.0
    for s in range(len(z_S)):
        w = exp(max(z_S[s] - top, LOWEST))
        z_S[s] = w
        total += n_S[s] * w
    return total, top


@kernel
def softmax(state: Arms, r: int, shared: float) -> None:
    """Weights, Z and log Z of one replicate from its logits."""
    used = state.used_R[r]
    w_S = state.w_RS[r, :used]
    if shared == 0.0:
        for s in range(used):
            w_S[s] = state.logit_RS[r, s]
    else:
        for s in range(used):
            w_S[s] = state.logit_RS[r, s] + shared * state.shared_4RC[0, r, state.class_RS[r, s]]
    total, top = softmax_row(w_S, state.n_RS[r, :used])
    state.Z_R[r], state.log_Z_R[r] = total, top + math.log(total)


@kernel
def softmax_all(state: Arms, shared: float) -> None:
    """`softmax` of every replicate."""
    for r in range(len(state.used_R)):
        softmax(state, r, shared)


@kernel
def split(state: Arms, r: int, lump: int, slot: int) -> None:
    """Move one arm of a lump, with a copy of the lump's state, to a slot of its own."""
    state.logit_RS[r, slot] = state.logit_RS[r, lump]
    state.class_RS[r, slot] = state.class_RS[r, lump]
    state.w_RS[r, slot] = state.w_RS[r, lump]
    state.m_RS[r, slot], state.v_RS[r, slot] = state.m_RS[r, lump], state.v_RS[r, lump]
    state.n_RS[r, slot] = 1.0
    state.n_RS[r, lump] -= 1.0
    if state.n_RS[r, lump] == 0.0:
        state.logit_RS[r, lump] = EMPTY


@kernel
def log_probabilities(state: Arms, shared: float, slot_RM: Ints, out_RM: Floats) -> None:
    """Log-probability, nats, of one arm of each pull's slot; 0 where the pull has none."""
    for r in range(slot_RM.shape[0]):
        for i in range(slot_RM.shape[1]):
            slot = slot_RM[r, i]
            out_RM[r, i] = 0.0
            if slot >= 0:
                own, c = state.logit_RS[r, slot], state.class_RS[r, slot]
                out_RM[r, i] = own + shared * state.shared_4RC[0, r, c] - state.log_Z_R[r]


@kernel
def measure(
    state: Arms,
    shared: float,
    reward_C: Floats,
    start_C: Floats,
    p_R: Floats,
    entropy_R: Floats,
    kl_R: Floats,
) -> None:
    """Exact Pass@1, entropy and KL(policy || initial policy) of every replicate, nats."""
    for r in range(len(state.used_R)):
        p, entropy, kl = 0.0, 0.0, 0.0
        for s in range(state.used_R[r]):
            c = state.class_RS[r, s]
            mass = state.n_RS[r, s] * state.w_RS[r, s] / state.Z_R[r]
            log_pi = state.logit_RS[r, s] + shared * state.shared_4RC[0, r, c] - state.log_Z_R[r]
            p += mass * reward_C[c]
            entropy -= mass * log_pi
            kl += mass * (log_pi - start_C[c])
        p_R[r], entropy_R[r], kl_R[r] = p, max(entropy, 0.0), max(kl, 0.0)


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


class Address(NamedTuple):
    """Of the random numbers of a round's pulls."""

    root_seed: int
    purpose: int
    seeds_R: Ints
    round_: int
    """From 1."""
    first: int
    """Rollout number of the first pull."""


class Rewards(NamedTuple):
    """What pulls of each class are worth."""

    reward_C: Floats
    """P(correct)."""
    value_C2: Floats
    """What the learner is given for the low and the high reward."""
    if_wrong: float
    """P(high reward) of a wrong answer."""
    if_right: float


class Pulls(NamedTuple):
    """M pulls of every replicate."""

    slot_RM: Ints
    which_RM: Floats
    """The uniform numbers that will name the arms."""
    correct_RM: NDArray[np.bool_]
    rewards_RM: Floats


@kernel
def draw(state: Arms, mass_S: Floats, at: Address, rewards: Rewards, pulls: Pulls) -> None:
    """Draw M pulls of every replicate from its current policy (weights must be current) into ``pulls``.

    ``mass_S`` is scratch.
    """
    place = np.uint64(at.round_) << ROLLOUT_BITS
    for r in range(len(at.seeds_R)):
        used, total = state.used_R[r], 0.0
        for s in range(used):
            total += state.n_RS[r, s] * state.w_RS[r, s]
            mass_S[s] = total
        for i in range(pulls.slot_RM.shape[1]):
            words = block(
                np.uint64(at.root_seed),
                np.uint64(at.seeds_R[r]),
                np.uint64(0),
                place | np.uint64(at.first + i),
                np.uint64(0),
                np.uint64(at.purpose),
            )
            slot = find(mass_S, used, unit(words[0]) * total)
            c = state.class_RS[r, slot]
            right = unit(words[2]) < rewards.reward_C[c]
            high = unit(words[3]) < (rewards.if_right if right else rewards.if_wrong)
            pulls.slot_RM[r, i], pulls.which_RM[r, i], pulls.correct_RM[r, i] = slot, unit(words[1]), right
            pulls.rewards_RM[r, i] = rewards.value_C2[c, 1 if high else 0]


@kernel
def name_arms(
    state: Arms, lumps: int, slot_RM: Ints, which_RM: Floats, named_RM: NDArray[np.bool_], gone_C: Ints,
    parent_M: Ints,
) -> None:  # fmt: skip
    """Replace the slots of pulls that move a logit by their arms', splitting lumps; the others' by -1.

    A lump of n arms at the start of the round, j of which have been named in it, repeats one of those j with
    probability j/n (theory §1).

    Args:
        state: Replicates, with room for M more slots.
        lumps: C.
        slot_RM: Slots, changed.
        which_RM: Uniform numbers.
        named_RM: Pulls that move a logit.
        gone_C: Scratch, zeros.
        parent_M: Scratch.
    """
    for r in range(slot_RM.shape[0]):
        old = state.used_R[r]
        top = old
        for i in range(slot_RM.shape[1]):
            slot = slot_RM[r, i]
            if not named_RM[r, i]:
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
