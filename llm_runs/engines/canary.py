"""The sync canary: does the sampler compute with the learner's weights of now?

A sampler with old weights, or with cached keys and values of old weights, samples plausible text from the
wrong policy, and nothing else in a run would say so. So fixed prompts are sampled again and again, and the
log-probabilities that the engine gives its tokens are compared with the learner's. Tokens that were
*generated* are compared, never the prompt's: engines that score prompts do so past their prefix cache.

Nothing is repaired here: a failed check stops the run. A replica whose own weights no longer give numbers
has diverged and is left out: its sampler cannot be checked, and its counts go on. A base model that gives
none has learned nothing yet, and is an error.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from banditrft.errors import InputError
from banditrft.streams import Purpose
from llm_runs.interfaces import Address, Engine, Learner, Limits, Prompts

DType = Literal["float32", "bfloat16"]
PROMPTS, ROLLOUTS = 2, 2
PROMPT_TOKENS = 120
"""Canary prompts are as long as the engine takes them, at most this: three full blocks of a prefix cache of
32 tokens a block (vLLM on CPU), seven of 16 (on GPU)."""
ROUND = 2**31 - 1
"""The canary's address in the random numbers; no run has so many rounds."""
TOLERANCE: dict[str, float] = {"float32": 5e-5, "bfloat16": 0.1}
"""Largest difference allowed in the mean over a replica's tokens, nats. Single tokens have heavy tails: the
two programs sum in different orders, and a logit is rounded by a share of its size. In bfloat16 a logit
between 8 and 16 is off by up to 1/32; in float32 so is one of a run whose weights grew very large, where two
of its logits are nearly equal. Stale weights move nearly all tokens."""


class StaleWeightsError(RuntimeError):
    """The sampler does not compute with the learner's weights: the run stops."""


@runtime_checkable
class LongPrompts(Protocol):
    """An engine that takes longer prompts than the task's `Limits.prompt_max`.

    Attributes:
        longest_prompt: Tokens; with the longest response it must fit into the model's positions.
    """

    longest_prompt: int


class Canary:
    """Checks an engine against a learner, at pushes that it picks itself.

    Call `after_push` after *every* push of weights, the base model's first one (round 0) included:

        canary = Canary(engine, learner, limits, dtype, vocabulary, every=world.canary_every)
        engine.push(learner); canary.after_push(0)
        for round_ in ...:
            ...; learner.step(batch); engine.push(learner); canary.after_push(round_)

    It compares after pushes 0 and 1, and from then on after two consecutive pushes of every `every`: the
    former of the two leaves its keys and values in the prefix cache, and the latter finds them there if the
    cache was not reset in between. A prefix cache serves whole blocks of a prompt only (16 or 32 tokens), so
    short prompts never see it: canary prompts are as long as the engine takes, at most `PROMPT_TOKENS`,
    whatever the task's own limit. A cache that no canary prompt fills, because the model has too few
    positions, is one that no prompt of the task can fill either.

    What it cannot see: weights so little changed that the log-probabilities move by less than the tolerance.
    In bfloat16 a single missed push at a learning rate of 1e-6 is among them; missed pushes add up and are
    seen later.
    """

    def __init__(
        self, engine: Engine, learner: Learner, limits: Limits, dtype: DType, vocabulary: int, every: int
    ) -> None:
        """Build the prompts.

        Args:
            engine: The engine that is checked.
            learner: The learner whose weights it should have.
            limits: Limits the engine was opened with.
            dtype: The engine's; picks the tolerance.
            vocabulary: Size of the model's vocabulary.
            every: Pushes between checks, at least 1.
        """
        self.engine, self.learner, self.dtype, self.every = engine, learner, dtype, every
        longest = engine.longest_prompt if isinstance(engine, LongPrompts) else limits.prompt_max
        self.prompts = canary_prompts(limits, vocabulary, min(PROMPT_TOKENS, longest), learner.replicas)
        self.address = Address(0, [0] * learner.replicas, Purpose.SAMPLE, ROUND)
        self.pushes = 0

    def after_push(self, round_: int, *, base: str | None = None) -> None:
        """Count a push, and compare if it is one of those that are checked, which the base model's is.

        Args:
            round_: Named in the error.
            base: Name of the base model, where its weights were pushed: nothing has been learned yet.

        Raises:
            StaleWeightsError: the engine's log-probabilities are not those of the learner's weights of now.
            InputError: the base model gives no numbers.
        """
        push, self.pushes = self.pushes, self.pushes + 1
        if base is None and push > 1 and (push + 1) % self.every > 1:
            return
        self.check(round_, base=base)

    def check(self, round_: int, *, base: str | None = None) -> None:
        """Sample the canary prompts and compare replica by replica; see `after_push`."""
        samples = self.engine.sample(self.prompts, range(ROLLOUTS), self.address)
        ours = self.learner.logprobs(self.prompts, samples).double().cpu()
        theirs = samples.logprobs_SQGT.double().cpu()
        if base is not None and not ours.isfinite().all():
            raise InputError(f"model: {base}: log-probabilities must be finite, got {_first_odd(ours)}")
        drawn = torch.arange(theirs.shape[-1]) < samples.lengths_SQG[..., None].cpu()
        for s in range(self.learner.replicas):
            self._compare(round_, ours[s][drawn[s]], theirs[s][drawn[s]])

    def _compare(self, round_: int, ours: Tensor, theirs: Tensor) -> None:
        """Compare the log-probabilities of one replica's tokens."""
        if not ours.isfinite().all():
            return
        apart, tolerance = (ours - theirs).abs(), TOLERANCE[self.dtype]
        if not apart.mean() <= tolerance:  # also where the sampler's is not a number
            raise StaleWeightsError(
                f"round {round_}: the sampler does not have the learner's weights: log-probabilities of "
                f"fixed prompts differ by up to {apart.max():.2g} nats and {apart.mean():.2g} on average; "
                f"the mean difference may be {tolerance:g} in {self.dtype}. Likely causes: weights were not "
                f"pushed after a step, or the prefix cache was not reset after a push"
            )


def _first_odd(values: Tensor) -> float:
    return float(values[~values.isfinite()][0])


def canary_prompts(limits: Limits, vocabulary: int, length: int, replicas: int) -> Prompts:
    """Prompts of random tokens, the same for every replica: ids spread over the vocabulary, no end or pad."""
    usable = [token for token in range(vocabulary) if token not in (*limits.ends, limits.pad)]
    draw = np.random.default_rng(0)
    ids = [[usable[i] for i in draw.integers(len(usable), size=length)] for _ in range(PROMPTS)]
    return Prompts([ids] * replicas, [list(range(PROMPTS))] * replicas)
