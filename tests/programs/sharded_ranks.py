"""What the ranks of tests/e2e/test_llm_sharded_learner.py run: `torchrun ... sharded_ranks.py OUT`, results into OUT."""

import os
import sys
from pathlib import Path

import torch
from support.module import LIMITS, SIGNALS, design, round_of, tiny, with_adapters, world

from llm_runs.learners.sharded import ShardedLearner, join_ranks

FULL = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "grad_clip": 0.5,
    "kl_coef": 0.3,
    "updates_per_round": 2,
    "adam_eps": 1e-3,
}
LONE = torch.zeros_like(SIGNALS)
LONE[0, 1, 2] = 1.0
CASES = {
    "uneven shares": ("qwen2", {}, {"micro_batch": 1}, SIGNALS),
    "one row with a signal": ("qwen2", {}, {"micro_batch": 1}, LONE),
    "no signal": ("gpt2", {"optimizer": "adam"}, {}, torch.zeros_like(SIGNALS)),
    "every part of the design": ("gpt2", FULL, {"micro_batch": 2, "importance_cap": 1.5}, SIGNALS),
    "logits computed by the model": ("gemma2", FULL, {"micro_batch": 2}, SIGNALS),
    "checkpointed": ("qwen2", FULL, {"gradient_checkpointing": True}, SIGNALS),
    "adapters": ("qwen2", FULL, {"lora": {"rank": 2}}, SIGNALS),
    "bfloat16": ("qwen2", {}, {"dtype": "bfloat16"}, SIGNALS),
}
ROUNDS = 2


def module_of(name):
    kind, _, of_world, _ = CASES[name]
    module = tiny(kind, dtype=torch.bfloat16 if "dtype" in of_world else torch.float64)
    if "lora" in of_world:
        module = with_adapters(module)
    if "gradient_checkpointing" in of_world:
        module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        module.train()
    return module


def learner_for(name, kind):
    _, settings, of_world, _ = CASES[name]
    learner = kind(module_of(name), design(**settings), world(**of_world), LIMITS)
    learner.policy.at_once = 45  # so that logits are made in chunks
    return learner


def results(name, learner):
    """Everything a loop asks of a learner, over two rounds."""
    batch = round_of(signals=CASES[name][3])
    out = {"records": [vars(learner.step(batch)) for _ in range(ROUNDS)]}
    out["state"] = dict(learner.state(0))
    out["logprobs"] = learner.logprobs(batch.prompts, batch.samples)
    if learner.reference is not None:
        out["divergence"] = learner.divergence(batch.prompts, batch.samples)
    out["first"] = dict([next(iter(learner.named_weights(0)))])
    out["checkpoint"] = learner.checkpoint(0)
    learner.step(batch)
    after = dict(learner.state(0))
    learner.load_state(0, out["state"])
    learner.step(batch)
    again = dict(learner.state(0))
    out["same after load"] = all(torch.equal(after[key], again[key]) for key in after)
    learner.load_checkpoint(0, out["checkpoint"])
    out["after checkpoint"] = learner.logprobs(batch.prompts, batch.samples)
    return out


def main():
    rank, _ = join_ranks("cpu")
    for name in CASES:
        learner = learner_for(name, ShardedLearner)
        if rank > 0:
            learner.follow()
            continue
        torch.save(results(name, learner), Path(sys.argv[1]) / f"{name}.pt")
        learner.close()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    sys.stdout.flush()
    os._exit(0)  # torch's gloo threads sometimes abort a process that ends on its own, when all is done
