"""Tokens per second of the torch engines against transformers' own generate.

    python benchmarks/sampler.py [--model tiny-qwen2] [--threads 1] [--repeats 9] [--batches 1 32 256]

One run, one model, the same prompts, the same number of sampled tokens (no response ends early), the same
threads; repeats of all three are interleaved and the medians are compared. "distinct" gives every response a
prompt of its own; "groups" asks for 8 responses to each prompt, as fine-tuning
does: our engines compute such a prompt once. The stacked engine runs on one thread by nature.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from types import SimpleNamespace

import torch

from banditrft.streams import Purpose
from llm_runs.base_models import SHIPPED, find_model
from llm_runs.base_models.modules import load_module
from llm_runs.engines.cached import CachedEngine
from llm_runs.interfaces import Address, Limits, Prompts
from llm_runs.tiny.architecture import architecture_of, weights_of
from llm_runs.tiny.engine import StackedEngine
from llm_runs.tiny.network import stack

PROMPT, T, GROUP = 8, 24, 8
"""Tokens of a prompt and of a response; responses to a prompt."""


def sides(name: str, rows: int, group: int):
    """Functions that each draw `rows` responses of T tokens, `group` to each prompt."""
    model = find_model(name)
    module = load_module(model, dtype=torch.float32, device="cpu", trainable=False)
    ids = torch.randint(2, model.config["vocab_size"], (rows // group, PROMPT), generator=generator())
    prompts = Prompts([ids.tolist()], [list(range(len(ids)))])
    limits, address = Limits(PROMPT, T, 1.0, (), 0), Address(0, [0], Purpose.SAMPLE)

    def generate() -> int:
        out = module.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            num_return_sequences=group,
            do_sample=True,
            top_k=0,
            max_new_tokens=T,
            pad_token_id=0,
        )
        return out[:, PROMPT:].numel()

    def draws(engine) -> int:
        return engine.sample(prompts, range(group), address).tokens_SQGT.numel()

    module.generation_config.eos_token_id = None
    found = {"generate": generate}
    cached = CachedEngine(limits)
    cached.push(SimpleNamespace(module=module))
    found["cached"] = lambda: draws(cached)
    if model.name in SHIPPED:
        stacked = StackedEngine(architecture_of(model), limits)
        stacked.push(SimpleNamespace(weights=stack([weights_of(model)])))
        found["stacked"] = lambda: draws(stacked)
    return found


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def seconds(found, rows: int, repeats: int) -> dict[str, float]:
    """Median seconds of each side, after two calls that are not counted."""
    times = {name: [] for name in found}
    for repeat in range(repeats + 2):
        for name, draw in found.items():
            started = time.perf_counter()
            tokens = draw()
            times[name].append(time.perf_counter() - started)
            if tokens != rows * T:
                raise RuntimeError(f"{name} drew {tokens} tokens instead of {rows * T}")
            if repeat < 2:
                times[name].clear()
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="tiny-qwen2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 256])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    print(
        f"{arguments.model}, {arguments.threads} thread(s), load before {load:.1f}, tokens/s (times generate)"
    )
    for rows in arguments.batches:
        for prompts in ("distinct", "groups"):
            group = 1 if prompts == "distinct" else min(GROUP, rows)
            if prompts == "groups" and rows == 1:
                continue
            found = seconds(sides(arguments.model, rows, group), rows, arguments.repeats)
            rates = (
                f"{name} {rows * T / s:,.0f} (x{found['generate'] / s:.2f})" for name, s in found.items()
            )
            print(f"batch {rows:4} {prompts:8} " + "   ".join(rates), flush=True)


if __name__ == "__main__":
    main()
