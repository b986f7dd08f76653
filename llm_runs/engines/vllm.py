"""The vLLM sampler: any causal language model in transformers' format, in this process.

Each response is a request with a seed of its own, taken from the response's address, so its tokens do not
depend on what else is sampled, nor in which order. Log-probabilities are those of the distribution drawn
from, at the sampling temperature. Replicas with weights of their own are sampled one after the other by the
one engine. Starting, loading and sleeping are `llm_runs.engines.vllm_server`.

On a GPU the engine sleeps between calls of `sample` and `push`, so that the learner has the memory; this has
not been run on a GPU yet.

Axes: S replicas, Q prompts of a replica, G rollouts of a prompt, T response tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.engines import vllm_server
from llm_runs.engines.canary import PROMPT_TOKENS
from llm_runs.engines.drawing import request_seeds
from llm_runs.interfaces import Address, Limits, Prompts, Samples

if TYPE_CHECKING:
    from llm_runs.base_models import BaseModel
    from llm_runs.interfaces import Learner

ROWS = 256
COLDEST = 0.01
"""vLLM samples at no lower temperature."""
_names = itertools.count()


class VLLMEngine:
    """Draws responses with vLLM; see `llm_runs.interfaces.Engine`.

    Attributes:
        rows: Responses of a replica that are drawn at once in an evaluation.
        longest_prompt: Longest prompt in tokens, at least the task's: canary prompts must fill blocks of the
            prefix cache.
    """

    rows = ROWS

    def __init__(self, model: BaseModel, world: LLMWorld, limits: Limits) -> None:
        """Start vLLM, or take over the one that runs in this process.

        Args:
            model: The model; its weights are only what vLLM starts with, those sampled come by `push`.
            world: Its dtype, device, gpu_memory, tensor_parallel and shards are used.
            limits: Shapes and stops.

        Raises:
            InputError: vLLM is missing or of another release, cannot serve the model or the temperature, or
                the model has too few positions.
        """
        if limits.temperature < COLDEST:
            raise InputError(
                f"temperature: vLLM samples at {COLDEST} or above, got {limits.temperature:g}; "
                f"engine = 'torch' samples at any"
            )
        vllm_server.check_version(vllm_server.installed_version())
        tokens = sequence_length(model, limits)
        settings = vllm_server.Settings(
            model.weight_files[0].parent.resolve(),
            world.dtype,
            ROWS,
            tokens,
            world.device,
            world.gpu_memory,
            world.tensor_parallel,
            cache_bytes(model.config, world.dtype, tokens),
            apart=world.shards > 1,
        )
        self.limits = limits
        self.longest_prompt = tokens - limits.max_new
        self.server = vllm_server.start(settings)
        self._name = next(_names)
        self._pushes = 0
        self._replicas = 0
        self._snapshots: list[list[tuple[str, Tensor]]] = []

    def push(self, learner: Learner) -> None:
        """Take over the learner's weights of now.

        A single replica's weights are loaded at once; several are copied, and loaded when they are sampled.
        """
        self._pushes += 1
        self._replicas = learner.replicas
        if learner.replicas == 1:
            self.server.load(learner.named_weights(0), self._weights(0))
            return
        self._snapshots = [
            [(name, tensor.detach().clone()) for name, tensor in learner.named_weights(s)]
            for s in range(learner.replicas)
        ]

    def _weights(self, replica: int) -> tuple[int, int, int]:
        """What the server calls the weights of a replica at the last push."""
        return self._name, self._pushes, replica

    def _hold(self, replica: int) -> None:
        """Make the server hold a replica's weights."""
        if self.server.holds == self._weights(replica):
            return
        if self._replicas == 1 or not self._snapshots:
            raise RuntimeError("vLLM holds no weights of this job: push before sampling")
        self.server.load(self._snapshots[replica], self._weights(replica))

    def sample(self, prompts: Prompts, rollouts: Sequence[int], address: Address) -> Samples:
        """Draw one response per prompt and rollout index; see `llm_runs.interfaces.Engine.sample`."""
        S, Q = prompts.shape
        T, G = self.limits.max_new, len(rollouts)
        seeds_SQG = request_seeds(prompts, rollouts, address)
        tokens = np.full((S, Q * G, T), self.limits.pad)
        lengths = np.zeros((S, Q * G), np.int64)
        logprobs = np.zeros((S, Q * G, T), np.float32)
        for s in range(S):
            self._hold(s)
            ids = [row for row in prompts.ids[s] for _ in range(G)]
            completions = self.server.generate(ids, self.parameters(seeds_SQG[s].ravel().tolist()))
            for n, completion in enumerate(completions):
                length = len(completion.token_ids)
                tokens[s, n, :length] = completion.token_ids
                logprobs[s, n, :length] = completion.logprobs.logprobs
                lengths[s, n] = length
        self.server.sleep()
        return Samples(
            torch.from_numpy(tokens).view(S, Q, G, T),
            torch.from_numpy(lengths).view(S, Q, G),
            torch.from_numpy(logprobs).view(S, Q, G, T),
        )

    def parameters(self, seeds: Sequence[int]) -> list[Any]:
        """VLLM's sampling parameters, one request per seed."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return [
            SamplingParams(
                temperature=self.limits.temperature,
                max_tokens=self.limits.max_new,
                seed=seed,
                stop_token_ids=list(self.limits.ends),
                ignore_eos=True,  # ends are the task's, not the model configuration's
                logprobs=0,  # of the drawn token alone
                flat_logprobs=True,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            for seed in seeds
        ]

    def close(self) -> None:
        """Forget the weights; vLLM itself stays for the next job (`vllm_server.stop` ends it)."""
        self._snapshots, self._replicas = [], 0
        if self.server.holds == self._weights(0):
            self.server.holds = None


def sequence_length(model: BaseModel, limits: Limits) -> int:
    """Tokens of the longest sequence: the task's or the canary's, within the model's positions.

    Raises:
        InputError: the task's longest prompt and response do not fit.
    """
    needed = limits.prompt_max + limits.max_new
    positions = needed if model.positions is None else model.positions
    if positions < needed:
        raise InputError(
            f"{model.name}: max_position_embeddings must be at least {needed} (prompt_max + max_new), "
            f"got {positions}"
        )
    return min(positions, max(limits.prompt_max, PROMPT_TOKENS) + limits.max_new)


def cache_bytes(config: Mapping[str, Any], dtype: str, tokens: int) -> int:
    """Memory for keys and values on CPU: enough for `ROWS` sequences of so many tokens, within bounds."""
    least, most = vllm_server.CPU_CACHE
    if not {"num_attention_heads", "num_hidden_layers", "hidden_size"} <= config.keys():
        return most
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or config["hidden_size"] // heads)
    channels = int(config.get("num_key_value_heads") or heads) * head_dim
    per_token = 2 * int(config["num_hidden_layers"]) * channels * (4 if dtype == "float32" else 2)
    blocks = -(-tokens // vllm_server.BLOCK)
    return min(max(ROWS * blocks * vllm_server.BLOCK * per_token, least), most)
