"""The sequence bandit's geometry "table": a softmax over V options at every position (theory §10).

Each position of each replicate is a lumped bandit of its own (`sims.lumped.arms`): one right option, and
V - 1 wrong ones that start alike. A wrong option is named, and leaves the lump, when a token of it carries a
weight.
That is exact for the reasons of theory §1: the reward depends on which positions are right, the
log-probability of a token on its lump, so weights are known before any wrong option is named.
"""

import numpy as np
from numpy.typing import NDArray

from banditrft.design import Design
from banditrft.rewards import RewardMap
from banditrft.worlds import SequenceWorld
from sims.compiled.jit import kernel
from sims.compiled.philox import ROLLOUT_BITS, block, unit
from sims.lumped import arms, steps
from sims.lumped.arms import Arms, Floats, Ints

CLASSES = 2
UNTOUCHED = -1
"""Slot of a token that a tree's response does not reach."""


@kernel
def draw(
    state: Arms,
    mass_S: Floats,
    length: int,
    root_seed: int,
    purpose: int,
    seeds_R: Ints,
    round_: int,
    first: int,
    tree: bool,
    if_wrong: float,
    if_right: float,
    slot_XM: Ints,
    which_XM: Floats,
    right_RM: Ints,
    high_RM: NDArray[np.bool_],
) -> None:
    """Draw M responses of every replicate; arguments as in `sims.sequence.direction.draw`.

    Row x = r T + t of the state is position t of replicate r. Two numbers serve a token: its slot, and which
    option of the slot it is.
    """
    place = np.uint64(round_) << ROLLOUT_BITS
    k0, kind = np.uint64(root_seed), np.uint64(purpose)
    M = slot_XM.shape[1]
    for r in range(len(seeds_R)):
        for i in range(M):
            right_RM[r, i] = 0
    for r in range(len(seeds_R)):
        k1 = np.uint64(seeds_R[r])
        for t in range(length):
            x = r * length + t
            used, total = state.used_R[x], 0.0
            for s in range(used):
                total += state.n_RS[x, s] * state.w_RS[x, s]
                mass_S[s] = total
            for i in range(M):
                if tree and right_RM[r, i] < t:
                    slot_XM[x, i] = -1
                    continue
                words = block(k0, k1, np.uint64(t // 2), place | np.uint64(first + i), np.uint64(0), kind)
                at = 2 * (t % 2)
                slot = arms.find(mass_S, used, unit(words[at]) * total)
                slot_XM[x, i], which_XM[x, i] = slot, unit(words[at + 1])
                right_RM[r, i] += state.class_RS[x, slot] == 0
        for i in range(M):
            high = right_RM[r, i] == length
            if if_right != 1.0 or if_wrong != 0.0:
                words = block(
                    k0, k1, np.uint64((length + 1) // 2), place | np.uint64(first + i), np.uint64(0), kind
                )
                high = unit(words[0]) < (if_right if high else if_wrong)
            high_RM[r, i] = high


class Table:
    """Policies of R replicates with V logits a position; attributes and methods as of `Direction`."""

    def __init__(self, world: SequenceWorld, design: Design, seeds_R: Ints) -> None:
        self.tree, self.seeds_R, self.length = world.prefixes == "tree", seeds_R, world.length()
        R, q_T = len(seeds_R), np.array(world.probabilities())
        arms_C = np.array([1.0, world.vocabulary - 1.0])
        start_TC = np.stack([np.log(q_T), np.log1p(-q_T) - np.log(arms_C[1])], axis=1)
        self.start_XC = np.tile(start_TC, (R, 1))
        self.most = CLASSES + world.vocabulary
        self.state = arms.allocate(self.start_XC, arms_C, R * self.length, CLASSES + 4)
        self.rule = steps.Rule(
            shared=0.0,
            rate=design.learning_rate,
            adam=design.optimizer != "sgd",
            beta1=design.betas[0],
            beta2=design.betas[1],
            eps=design.adam_eps,
            decay=design.learning_rate * design.weight_decay if design.optimizer == "adamw" else 0.0,
            clip=0.0,
        )
        self.norm_X, self.norm_R = np.zeros(R * self.length), np.zeros(R)
        self.scratch_2C, self.gone_C = np.empty((2, CLASSES)), np.zeros(CLASSES, np.int64)
        self.which_XM = np.empty((0, 0))
        arms.softmax_all(self.state, 0.0)

    def draw(
        self, root_seed: int, purpose: int, t: int, first: int, reward: RewardMap, M: int
    ) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """M responses each, rollouts ``first`` on of round t: slots (R T, M), right tokens, high rewards."""
        R = len(self.seeds_R)
        slot_XM, which_XM = np.empty((R * self.length, M), np.int64), np.empty((R * self.length, M))
        right_RM, high_RM = np.empty((R, M), np.int64), np.empty((R, M), np.bool_)
        mass_S = np.empty(self.state.n_RS.shape[1])
        where = self.length, root_seed, purpose, self.seeds_R, t, first, self.tree
        draw(
            self.state,
            mass_S,
            *where,
            reward.p_high_if_wrong,
            reward.p_high_if_right,
            slot_XM,
            which_XM,
            right_RM,
            high_RM,
        )
        if first == 0:
            self.which_XM = which_XM
        return slot_XM, right_RM, high_RM

    def named(self, slot_XM: Ints, loud_RM: NDArray[np.bool_]) -> Ints:
        """Slots of single options for the tokens of responses that carry weight; -1 for all others."""
        loud_XM = np.repeat(loud_RM, self.length, axis=0) & (slot_XM != UNTOUCHED)
        room = min(int(self.state.used_R.max()) + slot_XM.shape[1], self.most)
        self.state = arms.with_room(self.state, room)
        parent_M = np.empty(slot_XM.shape[1], np.int64)
        arms.name_arms(self.state, CLASSES, slot_XM, self.which_XM, loud_XM, self.gone_C, parent_M)
        return slot_XM

    def step(self, slot_XM: Ints, weight_RMW: Floats, update: int, *, first: bool) -> None:
        """One update, by a weight of each response (W = 1) or token (W = T)."""
        R, T = len(self.seeds_R), self.length
        weight_RTM = np.broadcast_to(weight_RMW.transpose(0, 2, 1), (R, T, slot_XM.shape[1]))
        weight_XM = np.where(slot_XM == UNTOUCHED, 0.0, weight_RTM.reshape(R * T, -1))
        steps.step_all(self.state, slot_XM, weight_XM, update, first, self.rule, self.scratch_2C, self.norm_X)
        self.norm_R = np.sqrt((self.norm_X.reshape(R, T) ** 2).sum(axis=1))

    def finite(self) -> bool:
        """Whether every parameter is a number."""
        return bool(np.isfinite(self.state.log_Z_R).all() and np.isfinite(self.norm_R).all())

    def log_probabilities(self, slot_XM: Ints, *, start: bool = False) -> Floats:
        """Log-probability of each token now, or at the start, (R, M, T)."""
        R, T, M = len(self.seeds_R), self.length, slot_XM.shape[1]
        if start:
            rows = np.arange(R * T)[:, None]
            out_XM = self.start_XC[rows, self.state.class_RS[rows, np.maximum(slot_XM, 0)]]
        else:
            out_XM = np.empty(slot_XM.shape)
            arms.log_probabilities(self.state, 0.0, slot_XM, out_XM)
        return np.ascontiguousarray(out_XM.reshape(R, T, M).transpose(0, 2, 1))

    def measure(self) -> tuple[Floats, Floats, Floats]:
        """Log q of each position, its entropy and its KL to the start, nats, each (R, T)."""
        R, T = len(self.seeds_R), self.length
        log_q_X, entropy_X, kl_X = np.empty((3, R * T))
        measure(self.state, self.start_XC, log_q_X, entropy_X, kl_X)
        return log_q_X.reshape(R, T), entropy_X.reshape(R, T), kl_X.reshape(R, T)


@kernel
def measure(state: Arms, start_XC: Floats, log_q_X: Floats, entropy_X: Floats, kl_X: Floats) -> None:
    """Log-probability of the right option, entropy, and KL to the initial policy of every row, nats."""
    for x in range(len(state.used_R)):
        wrong, entropy, kl = 0.0, 0.0, 0.0
        for s in range(state.used_R[x]):
            n = state.n_RS[x, s]
            if n == 0.0:
                continue
            c = state.class_RS[x, s]
            mass = n * state.w_RS[x, s] / state.Z_R[x]
            log_pi = state.logit_RS[x, s] - state.log_Z_R[x]
            wrong += mass if c == 1 else 0.0
            entropy -= mass * log_pi
            kl += mass * (log_pi - start_XC[x, c])
        log_q_X[x] = np.log1p(-min(wrong, 1.0 - 1e-300)) if wrong < 0.5 else np.log(max(1.0 - wrong, 1e-300))
        entropy_X[x], kl_X[x] = max(entropy, 0.0), max(kl, 0.0)
