"""The learner of a model that outgrows one GPU: all its state sharded over ranks (FSDP2).

Never run on a GPU: the step is tested on CPU ranks only. Sampling of such models is vLLM's, tensor-parallel.

Every rank is given the same round and takes its share of the rows; gradients are summed, not averaged, since
`row_weights` already weighs every row over the whole round. Ranks pass micro-batches through the model in
step, idle ones where shares are uneven, so that no rank waits for another in vain. Weights are float32
shards, gathered in the module's dtype for forward and backward; gradients are reduced in float32.

One process per GPU, started by torchrun. Rank 0 runs the loop; each of its calls on the learner is sent to
the others, which carry it out along with it in `follow`:

    rank, device = join_ranks("auto")
    learner = ShardedLearner(module, design, world, limits)
    if rank > 0:
        learner.follow()      # returns when rank 0 has called learner.close()
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.interfaces import Batch, Limits, Prompts, Samples, StepRecord
from llm_runs.learners import tensors
from llm_runs.learners.module import ModuleLearner
from llm_runs.learners.scoring import Scorer

PATIENCE = timedelta(days=1)
"""How long ranks wait while rank 0 samples, grades and evaluates."""


def join_ranks(device: Literal["auto", "cpu", "cuda"]) -> tuple[int, torch.device]:
    """Join the ranks that torchrun has started.

    Args:
        device: What the world asks for.

    Returns:
        This process's rank, and the device to load the module on.

    Raises:
        InputError: not started by torchrun, or there is no GPU for this rank.
    """
    if "LOCAL_RANK" not in os.environ:
        raise InputError("shards: needs one process per GPU; start the run with torchrun")
    if device == "cpu" or not torch.cuda.is_available():
        distributed.init_process_group("gloo", timeout=PATIENCE)
        return distributed.get_rank(), torch.device("cpu")
    here = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    if here.index >= torch.cuda.device_count():
        raise InputError(f"shards: needs a GPU for each, this machine offers {torch.cuda.device_count()}")
    torch.cuda.set_device(here)
    distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE, device_id=here)
    return distributed.get_rank(), here


class ShardedLearner(ModuleLearner):
    """A `ModuleLearner` over all ranks of the process group; the same steps up to rounding.

    Args:
        module: The same on every rank. Layer after layer goes to the rank's device as it is sharded, so a
            module in main memory never is whole on a GPU.
        design: What a step does.
        world: `micro_batch` rows go through each rank at once [all of its share].
        limits: Shapes and temperature of sampling.
        reference: As in `ModuleLearner`.

    Raises:
        InputError: transformers stores the model's weights otherwise than it computes with.
    """

    def __init__(
        self, module: nn.Module, design: Design, world: LLMWorld, limits: Limits, *, reference: bool = False
    ) -> None:
        self.rank, self.ranks = distributed.get_rank(), distributed.get_world_size()
        if tensors.converted(module):
            raise InputError("shards: a model whose files split its experts apart cannot be sharded")
        kind = "cpu" if distributed.get_backend() == "gloo" else "cuda"
        self.mesh = init_device_mesh(kind, (self.ranks,))
        super().__init__(module, design, world, limits, reference=reference)
        self.device = next(module.parameters()).device

    def follow(self) -> None:
        """Carry out what rank 0 is asked for until it is closed; for every other rank."""
        while (call := self._receive())[0] != "close":
            match call:
                case ("named_weights", replica):
                    _drain(super().named_weights(replica))
                case ("state", _):
                    _drain(self.stepper.items())
                case (name, *arguments):
                    getattr(super(), name)(*arguments)

    def close(self) -> None:
        """Let the other ranks return from `follow`; for rank 0, once, at the end."""
        self._send("close")

    def step(self, batch: Batch) -> StepRecord:
        """Take the design's `updates_per_round` optimiser steps on one round."""
        self._send("step", batch)
        return super().step(batch)

    def logprobs(self, prompts: Prompts, samples: Samples) -> Tensor:
        """Log-probabilities (1, Q, G, T) of responses under the weights of now, nats, 0 after the end."""
        self._send("logprobs", prompts, samples)
        return super().logprobs(prompts, samples)

    def divergence(self, prompts: Prompts, samples: Samples) -> Tensor:
        """The design's KL estimate from the initial policy, summed over each response: (1, Q, G) nats."""
        self._send("divergence", prompts, samples)
        return super().divergence(prompts, samples)

    def named_weights(self, replica: int) -> Iterator[tuple[str, Tensor]]:
        """The weights under transformers' names, adapters merged; gathered one after the other."""
        self._send("named_weights", replica)
        gathered = super().named_weights(replica)
        try:
            for named in gathered:  # noqa: UP028
                yield named
        finally:
            _drain(gathered)  # the other ranks gather all of them

    def load_checkpoint(self, replica: int, content: bytes) -> None:
        """Take over weights that `checkpoint` wrote; as in `ModuleLearner`."""
        self._send("load_checkpoint", replica, content)
        super().load_checkpoint(replica, content)

    def state(self, replica: int) -> Mapping[str, Tensor]:
        """Trained weights and the optimiser's state, whole, on rank 0."""
        self._send("state", replica)
        return super().state(replica)

    def load_state(self, replica: int, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; of any number of ranks."""
        self._send("load_state", replica, dict(state))
        super().load_state(replica, state)

    def _placed(self, policy: Scorer) -> Scorer:
        """A policy with its weights sharded, layer by layer."""
        mixed = MixedPrecisionPolicy()
        if any(p.dtype == torch.bfloat16 for p in policy.parameters()):
            policy.float()
            mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        layers = [layer for layer in policy.modules() if isinstance(layer, GradientCheckpointingLayer)]
        for part in (*layers, policy):
            sharded = fully_shard(part, mesh=self.mesh, mp_policy=mixed, reshard_after_forward=True)
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)
        return policy

    def _shares(self, order: Sequence[int], size: int) -> Iterator[tuple[Sequence[int], bool]]:
        """This rank's rows cut into as many micro-batches as every rank passes; the last may be idle."""
        own, longest = order[self.rank :: self.ranks], -(-len(order) // self.ranks)
        for start in range(0, longest, size):
            part = own[start : start + size]
            yield part or order[-1:], not part

    def _total(self, value: Tensor) -> Tensor:
        value = value.clone()
        distributed.all_reduce(value)
        return value

    def _send(self, *call: Any) -> None:
        """On rank 0, name the method to the other ranks, with its arguments."""
        distributed.broadcast_object_list([call], src=0, device=torch.device("cpu"))

    def _receive(self) -> tuple[Any, ...]:
        """On another rank, wait for the next call of rank 0."""
        received: list[Any] = [None]
        distributed.broadcast_object_list(received, src=0, device=torch.device("cpu"))
        call: tuple[Any, ...] = received[0]
        return call


def _drain(items: Iterator[Any]) -> None:
    for _ in items:
        pass
