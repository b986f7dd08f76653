"""Rounds of TRL's GRPOTrainer on given rollouts, as its users run it, in a process of its own.

Run as `python trl_rounds.py ROLLOUTS OUT`: TRL imports vLLM where that is installed, which tests should not.
ROLLOUTS is a file of `torch.save`: folder of the model, prompts (text and ids), responses, rewards and
configurations by name. OUT receives, by name, the batches and losses that TRL's `compute_loss` saw and the
weights at the end.
"""

import sys
import tempfile

import datasets
import torch
import trl
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast


class Recorded(trl.GRPOTrainer):
    """TRL's trainer; keeps what its `compute_loss` was given and what it returned."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self.seen = [*getattr(self, "seen", []), {**inputs, "loss": loss.detach()}]
        return loss


def train(given: dict, settings: dict) -> dict:
    """Train on one batch of rollouts."""
    texts, ids, responses = given["texts"], given["ids"], given["responses"]
    reward_of = {
        tuple(response): reward
        for row, rewards in zip(responses, given["rewards"].tolist(), strict=True)
        for response, reward in zip(row, rewards, strict=True)
    }

    def rollouts(prompts, trainer):
        left = {text: list(row) for text, row in zip(texts, responses, strict=True)}
        drawn = [left[text].pop(0) for text in prompts]
        return {
            "prompt_ids": [ids[texts.index(text)] for text in prompts],
            "completion_ids": drawn,
            "logprobs": [[0.0] * len(response) for response in drawn],
        }

    with tempfile.TemporaryDirectory() as folder:
        trainer = Recorded(
            model=AutoModelForCausalLM.from_pretrained(given["folder"], dtype=torch.float64),
            args=trl.GRPOConfig(
                output_dir=folder,
                lr_scheduler_type="constant",
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                **settings,
            ),
            train_dataset=datasets.Dataset.from_list([{"prompt": text} for text in texts]),
            reward_funcs=lambda completion_ids, **_: [reward_of[tuple(r)] for r in completion_ids],
            processing_class=PreTrainedTokenizerFast(
                tokenizer_file=f"{given['folder']}/tokenizer.json", pad_token="<pad>", eos_token="<eos>"
            ),
            rollout_func=rollouts,
        )
        trainer.train()
    return {"batches": trainer.seen, "weights": trainer.model.state_dict()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    source, target = sys.argv[1:]
    given = torch.load(source, weights_only=False)
    rounds = {name: train(given, settings) for name, settings in given["configurations"].items()}
    torch.save(rounds | {"version": trl.__version__}, target)
