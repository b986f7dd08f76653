"""TRL's side of `llm_round.py`, in a process of its own: trl_round.py QUERIES ROUNDS THREADS.

Prints one JSON object: median milliseconds of a round of TRL's GRPOTrainer on the shipped tiny-qwen2, by the
wall and of the processor (all threads). A round is 4 rollouts of one prompt or 8 of each of several, of 24
tokens each (`<eos>` is never drawn), and one optimiser step.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

T = 24
LEARNING_RATE = 1e-4
MODEL = "tiny-qwen2"
WARM = 5


def trl_rounds(queries: list[dict[str, str]], rollouts: int, rounds: int, threads: int) -> dict[str, float]:
    """Median milliseconds of a round, by clock."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    folder = Path(__file__).parents[1] / "llm_runs" / "models" / MODEL
    times: list[tuple[float, float]] = []
    lengths: set[int] = set()
    counts: set[int] = set()

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__) -> None:
            times.append((time.perf_counter(), time.process_time()))

    def reward(completions, completion_ids, answer, **_) -> list[float]:
        lengths.update(map(len, completion_ids))
        counts.add(len(completion_ids))
        texts = ["".join(text.split()) for text in completions]
        return [float(f"#{right}" in text) for text, right in zip(texts, answer, strict=True)]

    rows = len(queries) * rollouts
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            per_device_train_batch_size=rows,
            num_generations=rollouts,
            max_completion_length=T,
            generation_kwargs={"min_new_tokens": T},
            max_steps=rounds + WARM,
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
            processing_class=PreTrainedTokenizerFast(
                tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="<eos>"
            ),
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_list(queries * 8),
            callbacks=[Clock()],
        )
        trainer.train()
    if (lengths, counts) != ({T}, {rows}):
        raise SystemExit(f"TRL made {counts} responses of {lengths} tokens instead of {rows} of {T}")
    steps = [
        [after - before for before, after in zip(*pair, strict=True)] for pair in pairwise(times[WARM - 1 :])
    ]
    wall, cpu = (1e3 * statistics.median(clock) for clock in zip(*steps, strict=True))
    return {"wall": wall, "cpu": cpu}


def main() -> None:
    count, rounds, threads = map(int, sys.argv[1:])
    from llm_runs.tasks import load_task

    items = load_task("arithmetic").items("pool", count)
    queries = [{"prompt": item.prompt, "answer": item.answer} for item in items]
    print(json.dumps(trl_rounds(queries, 4 if count == 1 else 8, rounds, threads)))


if __name__ == "__main__":
    main()
