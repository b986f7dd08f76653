"""TRL's side of `llm_round.py`, run by the python of TRL's own environment: trl_round.py ROUNDS THREADS.

Prints one JSON object with the median milliseconds of a round of its GRPOTrainer on the shipped tiny-qwen2.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

G, T = 4, 24
LEARNING_RATE = 1e-4
PROMPT, ANSWER = "41+22=?", "63"
MODEL = "tiny-qwen2"


def trl_rounds(rounds: int, threads: int) -> float:
    """Milliseconds of one round of TRL's trainer (median over rounds), in this process."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    folder = Path(__file__).parents[1] / "llm_runs" / "models" / MODEL
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__) -> None:
            times.append(time.perf_counter())

    lengths: set[int] = set()

    def reward(completions, completion_ids, **_) -> list[float]:
        lengths.update(map(len, completion_ids))
        return [float(text.endswith(f"#{ANSWER}")) for text in completions]

    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            per_device_train_batch_size=G,
            num_generations=G,
            max_completion_length=T,
            generation_kwargs={"min_new_tokens": T},
            max_steps=rounds + 5,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            max_grad_norm=0.0,
            beta=0.0,
            scale_rewards="none",
            loss_type="dapo",
            temperature=1.0,
            top_k=0,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            dataloader_num_workers=0,
        )
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, local_files_only=True),
            processing_class=AutoTokenizer.from_pretrained(folder, local_files_only=True),
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_list([{"prompt": PROMPT}] * 8),
            callbacks=[Clock()],
        )
        trainer.train()
    if lengths != {T}:
        raise SystemExit(f"TRL generated responses of {sorted(lengths)} tokens instead of {T}")
    steps = [after - before for before, after in itertools.pairwise(times[4:])]
    return statistics.median(steps) * 1e3


if __name__ == "__main__":
    print(json.dumps({"ms": trl_rounds(int(sys.argv[1]), int(sys.argv[2]))}))
