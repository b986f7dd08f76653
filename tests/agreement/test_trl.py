"""TRL's GRPOTrainer and ours on the same rollouts: advantages, losses, and the weights after AdamW's steps.

TRL runs as its users run it - `train()`, its data loader, losses and optimiser - on a shipped model in float64
with rollouts and rewards given. The second of two steps is off the policy that sampled, so that clips and the
KL act. Three things are set: `use_bias_correction_kl` is off, since TRL by default multiplies k3 by the ratio,
which is no estimator here; weight decay is 0, since transformers' Trainer spares biases and gains and torch's
AdamW and ours do not; Adam's eps is large, since TRL computes log-probabilities in float32, and rounding must
not decide the sign of a step.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.llm import TASK, TOKENIZER, world

from banditrft import signals
from banditrft.design import Design
from banditrft.objective import row_weights
from llm_runs.base_models import find_model
from llm_runs.interfaces import Batch, Limits, Prompts, Samples
from llm_runs.learners.loss import token_losses
from llm_runs.tiny.architecture import architecture_of, unpack, weights_of
from llm_runs.tiny.learner import StackedLearner
from llm_runs.tiny.network import replica, stack

pytestmark = pytest.mark.slow(40)

pytest.importorskip("trl", reason="pip install -e '.[test]'")

Q, G, T = 3, 4, 12
MODEL = find_model("tiny-qwen2")
LIMITS = Limits(TASK.prompt_max, T, 0.8, (1,), 0)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5, "check_dtype": False}
THEIRS = {
    "grpo": {"loss_type": "grpo", "scale_rewards": "group", "epsilon": 0.05, "epsilon_high": 0.4},
    "bnpo": {"loss_type": "bnpo", "scale_rewards": "none", "beta": 0.3},
    "dapo": {"loss_type": "dapo", "scale_rewards": "batch", "epsilon": 0.1, "beta": 0.02},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none", "epsilon": 0.1, "delta": 1.3},
}
OURS = {
    "grpo": {"aggregation": "grpo", "signal": "grpo", "signal_eps": 1e-4, "clip_low": 0.05, "clip_high": 0.4},
    "bnpo": {"aggregation": "bnpo", "signal": "centered", "kl_coef": 0.3},
    "dapo": {"aggregation": "dapo", "signal": "centered", "clip_low": 0.1, "clip_high": 0.1, "kl_coef": 0.02},
    "dr_grpo": {
        "aggregation": "dr_grpo",
        "signal": "centered",
        "clip_low": 0.1,
        "clip_high": 0.1,
        "dual_clip": 1.3,
    },
}


def configuration(micro_batches: int) -> dict:
    return {
        "per_device_train_batch_size": Q * G // micro_batches,
        "gradient_accumulation_steps": micro_batches,
        "num_generations": G,
        "num_iterations": 2,
        "max_steps": 2,
        "max_completion_length": T,
        "temperature": LIMITS.temperature,
        "learning_rate": 5e-4,
        "adam_epsilon": 1e-4,
        "max_grad_norm": 0.5,
        "use_bias_correction_kl": False,
    }


@pytest.fixture(scope="module")
def given():
    rng = torch.Generator().manual_seed(3)
    items = TASK.items("pool", Q)
    lengths = torch.randint(0, T, (Q, G), generator=rng)
    body = [[torch.randint(2, 18, (int(n),), generator=rng).tolist() for n in row] for row in lengths]
    cut = {name: configuration(1) | settings for name, settings in THEIRS.items()}
    cut["bnpo in micro-batches"] = configuration(2) | THEIRS["bnpo"]
    return {
        "folder": str(MODEL.folder),
        "texts": [item.prompt for item in items],
        "ids": [TOKENIZER.encode(item) for item in items],
        "responses": [[[*tokens, 1] for tokens in row] for row in body],
        "rewards": torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [0.5, 0, 1, 0]], dtype=torch.float64),
        "configurations": cut,
    }


@pytest.fixture(scope="module")
def rounds(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trl")
    torch.save(given, folder / "given.pt")
    script = Path(__file__).parents[1] / "programs" / "trl_rounds.py"
    command = [sys.executable, str(script), str(folder / "given.pt"), str(folder / "rounds.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.load(folder / "rounds.pt", weights_only=False)


def design(name: str, **changes: object) -> Design:
    base = {"batch_size": Q, "rollouts": G, "rounds": 1, "optimizer": "adamw", "learning_rate": 5e-4}
    return Design.model_validate(base | {"grad_clip": 0.5, "adam_eps": 1e-4} | OURS[name] | changes)


def learner(setup: Design, micro_batch: int = Q * G) -> StackedLearner:
    weights = {name: tensor.double() for name, tensor in stack([weights_of(MODEL)]).items()}
    return StackedLearner(architecture_of(MODEL), weights, setup, world(micro_batch=micro_batch), LIMITS)


def our_batch(batches: list[dict]) -> Batch:
    """TRL's rows in TRL's order, each the only response to its own copy of a prompt."""
    ids, tokens, lengths, advantages = [], [], [], []
    for batch in batches:
        masks = batch["prompt_mask"].bool()
        ids += [row[mask].tolist() for row, mask in zip(batch["prompt_ids"], masks, strict=True)]
        drawn = batch["completion_ids"]
        tokens.append(torch.nn.functional.pad(drawn, (0, T - drawn.shape[1])))
        lengths.append(batch["completion_mask"].sum(1))
        advantages.append(batch["advantages"].double())
    rows = torch.cat(lengths)[None, :, None]
    samples = Samples(torch.cat(tokens)[None, :, None], rows, torch.zeros(1, len(ids), 1, T))
    return Batch(Prompts([ids], [[0] * len(ids)]), samples, torch.cat(advantages)[None, :, None])


def assert_weights_equal(ours: StackedLearner, theirs: dict[str, torch.Tensor]) -> None:
    named = unpack(architecture_of(MODEL), replica(ours.weights, 0))
    for name, tensor in named.items():
        torch.testing.assert_close(tensor, theirs[name], **TOLERANCE, msg=lambda m, n=name: f"{n}: {m}")


def test_the_release_is_the_one_that_was_read(rounds):
    assert rounds["version"] == "1.16.0"


@pytest.mark.parametrize("name", ["grpo", "bnpo", "dr_grpo"])
def test_advantages(given, rounds, name):
    ours = signals.signal(design(name), given["rewards"])
    (_, batch) = rounds[name]["batches"]
    found = {
        tuple(r): float(s)
        for row, ss in zip(given["responses"], ours, strict=True)
        for r, s in zip(row, ss, strict=True)
    }
    expected = [
        found[tuple(row[: int(n)].tolist())]
        for row, n in zip(batch["completion_ids"], batch["completion_mask"].sum(1), strict=True)
    ]
    torch.testing.assert_close(torch.tensor(expected), batch["advantages"].float(), rtol=1e-5, atol=1e-6)


def test_advantages_scaled_over_the_batch_are_ours_over_one_number(given, rounds):
    """`scale_rewards="batch"`, which is no signal here: our "centered" over the batch's deviation."""
    scaled = signals.centered(given["rewards"]) / (given["rewards"].std() + 1e-4)
    theirs = rounds["dapo"]["batches"][0]["advantages"].double()
    torch.testing.assert_close(theirs.sort().values, scaled.flatten().sort().values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", THEIRS)
def test_loss_on_and_off_policy(rounds, name):
    first, second = rounds[name]["batches"]
    ours, setup = learner(design(name)), design(name)
    record = ours.step(our_batch([first]))
    torch.testing.assert_close(record.loss_S[0], first["loss"], **TOLERANCE)
    batch = our_batch([second])
    width = second["completion_ids"].shape[1]
    logp = ours.logprobs(batch.prompts, batch.samples)[0, :, 0, :width]
    mask = second["completion_mask"].bool()
    old, ref = (
        None if x is None else x * mask
        for x in (second["old_per_token_logps"], second.get("ref_per_token_logps"))
    )
    losses = token_losses(setup, logp, old, ref, second["advantages"].double()[:, None])
    weights = row_weights(setup, mask.sum(1), max_new=T, micro_batch=Q * G)
    torch.testing.assert_close((losses * mask * weights[:, None]).sum(), second["loss"], **TOLERANCE)
    assert not torch.equal(logp, old)


@pytest.mark.parametrize("name", THEIRS)
def test_weights_after_two_steps_on_one_batch(rounds, name):
    ours = learner(design(name, updates_per_round=2))
    record = ours.step(our_batch(rounds[name]["batches"][:1]))
    assert float(record.clip_fraction_S[0]) > 0
    assert_weights_equal(ours, rounds[name]["weights"])


def test_weights_with_gradients_accumulated_over_micro_batches(rounds):
    """TRL's token mean per micro-batch, in which the rows of a round fell as TRL shuffled them."""
    batches = rounds["bnpo in micro-batches"]["batches"]
    ours = learner(design("bnpo", updates_per_round=2), micro_batch=Q * G // 2)
    ours.step(our_batch(batches[:2]))
    assert_weights_equal(ours, rounds["bnpo in micro-batches"]["weights"])
