"""The torch engine of any causal language model of transformers: it samples from the learner's own module.

There is no second copy of the weights and a push moves nothing. Each different prompt is computed once,
whatever number of rollouts or copies it has; rows are sorted by prompt length, decoded in batches that bound
memory, and dropped when enough of a batch have ended.

Which numbers a response is drawn with depends on its own address only, so it is a function of the weights,
its prompt and its own numbers up to the rounding of floating point: matrix products of other batch sizes
round differently, and a number within that rounding of a border between two tokens draws the other one.
The same call on the same machine with the same threads gives the same bits. The stacked engine
(`llm_runs.tiny.engine`) promises more.

A module whose weights are sharded cannot be sampled by one process: `CopiedEngine` gathers them at each push
into a whole copy on one device. It is for tests and for models that are sharded for the sake of their
optimiser's state. Models that outgrow one GPU are sampled by vLLM, tensor-parallel. It was never run on a
GPU.

Axes: S = 1 replica, Q prompts, G rollouts, T response tokens, N rows of a batch, U different prompts of a
batch, P prompt tokens, L positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from llm_runs.base_models import BaseModel, load_module, merged_state
from llm_runs.engines.drawing import draw, draws
from llm_runs.engines.forward import CachedModel, RowCache
from llm_runs.interfaces import Address, Limits, Prompts, Samples

if TYPE_CHECKING:
    from llm_runs.base_models import BaseModel
    from llm_runs.interfaces import Learner

BATCH = 256
"""Rows decoded at once [default]."""


class HoldsModule(Protocol):
    """A learner of one replica, whose weights are a module of transformers.

    Attributes:
        module: The live causal language model, adapters in place.
    """

    module: nn.Module


class CachedEngine:
    """Draws for one replica with a static key-value cache.

    Args:
        limits: Shapes and stops.
        dtype: Of the forward passes; a module with weights of another type runs under autocast.
        batch: Rows decoded at once; what bounds memory.
    """

    rows = 64

    def __init__(self, limits: Limits, *, dtype: torch.dtype = torch.float32, batch: int = BATCH) -> None:
        self.limits = limits
        self.dtype = dtype
        self.batch = batch
        self._policy: CachedModel | None = None

    def push(self, learner: Learner) -> None:
        """Sample from this learner's module from now on.

        Raises:
            InputError: the module keeps a state that is no key-value cache.
        """
        module = cast(HoldsModule, learner).module
        if self._policy is None or self._policy.module is not module:
            self._policy = CachedModel(module, self.dtype)

    def close(self) -> None:
        """Let go of the module."""
        self._policy = None

    @torch.no_grad()
    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        """Draw one response per prompt and rollout.

        Raises:
            RuntimeError: nothing was pushed yet.
        """
        if self._policy is None:
            raise RuntimeError("no weights to sample from: push a learner first")
        policy, limits = self._policy, self.limits
        ids, Q, G, T = prompts.ids[0], prompts.shape[1], len(rollouts), limits.max_new
        uniforms_RT = torch.from_numpy(draws(prompts, rollouts, address, T)).view(Q * G, T)
        out = Samples(
            torch.full((Q * G, T), limits.pad),
            torch.zeros(Q * G, dtype=torch.int64),
            torch.zeros(Q * G, T, dtype=torch.promote_types(self.dtype, torch.float32)),
        )
        order = sorted(range(Q * G), key=lambda row: (len(ids[row // G]), tuple(ids[row // G])))
        with policy.sampling():
            for start in range(0, Q * G, self.batch):
                rows = order[start : start + self.batch]
                _decode(policy, limits, [tuple(ids[row // G]) for row in rows], rows, uniforms_RT, out)
        return Samples(
            out.tokens_SQGT.view(1, Q, G, T),
            out.lengths_SQG.view(1, Q, G),
            out.logprobs_SQGT.view(1, Q, G, T),
        )


def _decode(
    policy: CachedModel,
    limits: Limits,
    prompts_N: Sequence[tuple[int, ...]],
    rows: Sequence[int],
    uniforms_RT: Tensor,
    out: Samples,
) -> None:
    """Decode one batch of rows, and write its results to their places in `out`, whose axes are R and T."""
    device, T = policy.device, limits.max_new
    different = {prompt: u for u, prompt in enumerate(dict.fromkeys(prompts_N))}
    P = max(map(len, different))
    ids_UP = torch.tensor([[limits.pad] * (P - len(ids)) + list(ids) for ids in different], device=device)
    pads_U = torch.tensor([P - len(ids) for ids in different], device=device)
    owner_N = torch.tensor([different[prompt] for prompt in prompts_N], device=device)

    prefix = RowCache(policy.layers, P)
    logits_NV = policy.prefill(ids_UP, pads_U, prefix)[owner_N]
    cache = prefix.expanded(owner_N, P + T)
    del prefix

    place_N = torch.tensor(rows)
    uniforms_NT = uniforms_RT[place_N].to(device)
    mask, start_N = policy.mask(pads_U[owner_N], P + T), P - pads_U[owner_N]
    step = policy.steps(cache, mask, P)
    alive_N = torch.ones(len(rows), dtype=torch.bool, device=device)
    tokens_NT = torch.full((len(rows), T), limits.pad, device=device)
    logprobs_NT = torch.zeros(len(rows), T, dtype=out.logprobs_SQGT.dtype, device=device)
    lengths_N = torch.zeros(len(rows), dtype=torch.int64, device=device)

    def hand_over() -> None:
        out.tokens_SQGT[place_N] = tokens_NT.cpu()
        out.logprobs_SQGT[place_N] = logprobs_NT.cpu()
        out.lengths_SQG[place_N] = lengths_N.cpu()

    for t in range(T):
        drawn_N, logp_N = draw(logits_NV, uniforms_NT[:, t], limits.temperature)
        tokens_NT[:, t] = drawn_N.where(alive_N, limits.pad)
        logprobs_NT[:, t] = logp_N.where(alive_N, 0.0)
        lengths_N += alive_N
        for end in limits.ends:
            alive_N &= drawn_N != end
        left = int(alive_N.sum())
        if t == T - 1 or not left:
            break
        if left <= policy.kept * len(place_N):
            hand_over()
            keep = alive_N.nonzero()[:, 0]
            cache.keep(keep, P + t)
            mask, start_N, uniforms_NT, alive_N = mask[keep], start_N[keep], uniforms_NT[keep], alive_N[keep]
            tokens_NT, logprobs_NT, lengths_N = tokens_NT[keep], logprobs_NT[keep], lengths_N[keep]
            place_N, step = place_N[keep.cpu()], policy.steps(cache, mask, P + t)
        logits_NV = step(tokens_NT[:, t], start_N + t, P + t)
    hand_over()


class CopiedEngine(CachedEngine):
    """A `CachedEngine` with weights of its own.

    Args:
        model: The model; its weights are only what the copy starts with, those sampled come by `push`.
        limits: Shapes and stops.
        dtype: Of the copy and its forward passes.
        device: Where the copy is.

    Raises:
        InputError: transformers cannot load the model, or it keeps a state that is no key-value cache.
    """

    def __init__(self, model: BaseModel, limits: Limits, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(limits, dtype=dtype)
        module = load_module(model, dtype=dtype, device=device, trainable=False)
        self._copy, self._weights = CachedModel(module, dtype), dict(merged_state(module))

    @torch.no_grad()
    def push(self, learner: Learner) -> None:
        """Copy the learner's weights of now."""
        for name, tensor in learner.named_weights(0):
            self._weights[name].copy_(tensor)
        self._policy = self._copy

    def close(self) -> None:
        """Let go of the copy."""
        super().close()
        self._weights = {}
