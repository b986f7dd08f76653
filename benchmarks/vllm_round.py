"""One round sampled by vLLM: our path against vLLM's own `generate` and the learner's bare step.

    python benchmarks/vllm_round.py                     # needs vLLM; make test installs a CPU build

Same process, model (tiny-qwen2, float32), prompts, number of tokens and threads (one). Bare: `LLM.generate`
with a prepared request and seed per response, and `StackedLearner.step`. Unseeded: the same with G responses
of one request and no seeds, which cannot be drawn again. Ours: engine.sample (makes seeds and requests,
returns tensors), the same step on what was sampled, and engine.push (vLLM's own reload of weights, prefix
cache reset), which bare lacks. All take turns, several times; medians are compared. `<eos>` ends nothing, so
every response has 24 tokens.

What this is not: a comparison with the torch engines, which are several times faster at this model's size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

T, MODEL = 24, "tiny-qwen2"
SHAPES = {"1x4": (1, 4), "32x8": (32, 8)}


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(Q: int, G: int, repeats: int) -> dict[str, float]:
    """Median seconds of the parts of a round of Q queries and G rollouts."""
    from vllm import SamplingParams

    from banditrft.design import Design
    from banditrft.streams import Purpose
    from banditrft.worlds import LLMWorld
    from llm_runs.base_models import find_model
    from llm_runs.engines.vllm import VLLMEngine
    from llm_runs.interfaces import Address, Batch, Limits, Prompts
    from llm_runs.tasks import load_task
    from llm_runs.tiny.architecture import architecture_of, weights_of
    from llm_runs.tiny.learner import StackedLearner
    from llm_runs.tiny.network import stack
    from llm_runs.tokenizers import load_tokenizer

    task, model = load_task("arithmetic"), find_model(MODEL)
    world = LLMWorld(model=MODEL, seeds=1, engine="vllm")
    limits = Limits(task.prompt_max, T, 1.0, (), 0)
    engine = VLLMEngine(model, world, limits)
    design = Design(batch_size=Q, rollouts=G, learning_rate=1e-4, rounds=1)
    learner = StackedLearner(architecture_of(model), stack([weights_of(model)]), design, world, limits)
    tokenizer = load_tokenizer(model.folder, None)
    items = task.items("pool", Q)
    prompts = Prompts([[tokenizer.encode(item) for item in items]], [[item.index for item in items]])
    signals = torch.randn(1, Q, G, generator=torch.Generator().manual_seed(0)).double()
    plain = SamplingParams(
        n=G, max_tokens=T, ignore_eos=True, detokenize=False, logprobs=0, flat_logprobs=True
    )
    requests = [{"prompt_token_ids": ids} for ids in prompts.ids[0]]

    engine.push(learner)
    rounds: list[dict[str, float]] = []
    for round_ in range(1 + repeats):
        address = Address(0, [0], Purpose.SAMPLE, round_)
        generate = engine.server.llm.generate
        found = {"unseeded": seconds(partial(generate, requests, plain, use_tqdm=False))}
        seeded = engine.parameters([1000 * round_ + n for n in range(Q * G)])
        repeated = [request for request in requests for _ in range(G)]
        found["generate"] = seconds(partial(generate, repeated, seeded, use_tqdm=False))
        start = time.perf_counter()
        samples = engine.sample(prompts, range(G), address)
        found["sample"] = time.perf_counter() - start
        batch = Batch(prompts, samples, signals)
        found["step"] = seconds(partial(learner.step, batch))
        found["push"] = seconds(lambda: engine.push(learner))
        rounds.append(found)
    median = {name: statistics.median(one[name] for one in rounds[1:]) for name in rounds[0]}
    ours = median["sample"] + median["step"] + median["push"]
    bare, unseeded = (median[name] + median["step"] for name in ("generate", "unseeded"))
    return median | {"ours": ours, "over_bare": ours / bare - 1, "over_unseeded": ours / unseeded - 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=30, help="rounds measured [30]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: measure(*shape, options.repeats) for name, shape in SHAPES.items()}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for name, row in found.items():
        parts = ", ".join(
            f"{part} {1e3 * row[part]:.1f}" for part in ("unseeded", "generate", "sample", "step", "push")
        )
        print(
            f"{name}: {1e3 * row['ours']:.1f} ms a round, {row['over_bare']:+.1%} over bare, "
            f"{row['over_unseeded']:+.1%} over unseeded (ms: {parts})"
        )


if __name__ == "__main__":
    main()
