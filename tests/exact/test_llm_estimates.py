"""Estimates from numbers of a configuration: sizes, bytes, tokens, and what an executor is told."""

import json
import shutil
from dataclasses import replace

import pytest
from support.memory import study_of

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld
from llm_runs.base_models import BaseModel, find_model
from llm_runs.base_models.sizes import Sizes
from llm_runs.planning.estimates import Speed, evaluations, memory, need, stack_size, workload
from llm_runs.tasks import load_task
from llm_runs.tiny.architecture import STACKED, stacks

QWEN_HALF = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
"""Sizes of Qwen2.5-0.5B, which has 494,032,768 weights."""
TASK = load_task("arithmetic")


def model(tmp_path, **changes):
    """A model known by its configuration alone."""
    return BaseModel("half", tmp_path, QWEN_HALF | changes)


def parts(tmp_path, design=None, device="cpu", **world):
    settings = Design(learning_rate=1e-5, rounds=1, **(design or {}))
    where = LLMWorld(model="half", seeds=1, **world)
    return memory(where, settings, TASK, model(tmp_path), device=device).held


def test_parameters_are_counted_from_a_configuration_to_a_thousandth():
    counted = Sizes.of(QWEN_HALF).parameters
    assert counted == pytest.approx(494_032_768, rel=1e-3)  # without biases and normalisations


def test_parameters_are_counted_from_a_files_header_exactly():
    provenance = json.loads((find_model("tiny-qwen2").folder / "provenance.json").read_text())
    assert find_model("tiny-qwen2").parameters == provenance["parameters"]


def test_a_configuration_without_sizes():
    with pytest.raises(InputError, match=r"config\.json: num_hidden_layers is required for an estimate"):
        Sizes.of({"hidden_size": 64, "num_attention_heads": 2})


def test_float32_holds_weights_gradients_and_two_moments(tmp_path):
    P = Sizes.of(QWEN_HALF).parameters
    held = parts(tmp_path)
    assert (held["weights"], held["gradients"], held["optimiser"]) == (4 * P, 4 * P, 8 * P)
    assert "masters" not in held
    assert "initial policy" not in held


def test_bfloat16_has_masters_and_half_the_weights(tmp_path):
    P = Sizes.of(QWEN_HALF).parameters
    held = parts(tmp_path, {"kl_coef": 0.1}, dtype="bfloat16")
    assert (held["weights"], held["masters"], held["initial policy"]) == (2 * P, 4 * P, 2 * P)


def test_sgd_has_no_moments_and_adapters_little_of_anything(tmp_path):
    assert "optimiser" not in parts(tmp_path, {"optimizer": "sgd"})
    held = parts(tmp_path, {"kl_coef": 0.1}, lora={"rank": 8})
    # rank x (in + out) of q 896+896, k and v 896+128, o 896+896, gate and up 896+4864, down 4864+896
    trained = 24 * 8 * (2 * 1792 + 2 * 1024 + 3 * 5760)
    assert held["optimiser"] == 8 * trained
    assert "initial policy" not in held  # it is the model without its adapters


def test_shards_divide_what_is_held(tmp_path):
    P = Sizes.of(QWEN_HALF).parameters
    held = parts(tmp_path, device="cuda", shards=2)
    assert held["optimiser"] == 4 * P
    assert held["sampler's copy"] == 4 * P  # whole, as what rank 0 samples from
    assert held["process"] == parts(tmp_path, device="cuda")["process"]


def test_checkpointing_and_micro_batches_save_activations(tmp_path):
    def learning(**world):
        design = Design(learning_rate=1e-5, rounds=1, rollouts=32)
        where = LLMWorld(model="half", seeds=1, **world)
        return memory(where, design, TASK, model(tmp_path)).learning["activations"]

    assert learning(micro_batch=8) * 4 == learning()
    assert learning(gradient_checkpointing=True) < learning() / 8
    assert learning(dtype="bfloat16") * 2 == learning()


def test_tokens_and_floors_of_a_run():
    design = Design(learning_rate=1.0, rounds=10, rollouts=4, batch_size=2)
    evaluation = Evaluation(eval_every=4, eval_samples=8, final_eval_samples=16, final_test_samples=2)
    world = LLMWorld(model="tiny-qwen2", seeds=1, test_items=5)
    sizes = Sizes.of(find_model("tiny-qwen2").config, 1000)
    work = workload(world, design, evaluation, TASK, sizes)
    assert evaluations(design, evaluation) == {"train": 4, "test": 0}  # rounds 0, 4, 8 and 10
    assert work.rollouts == 10 * 2 * 4
    assert work.evaluated == 4 * 8 + 16 + 2 * 5 * 2
    P, T = TASK.prompt_max, TASK.max_new
    assert work.tokens == (80 + 68) * T
    assert work.flops == 1000 * (2 * (148 * T + 20 * P) + 6 * 80 * (P + T))
    assert work.floor_s(Speed("slow", 1.0, 1e99)) == work.flops
    assert work.floor_s(Speed("narrow", 1e99, 2.0)) == work.read / 2


def test_only_models_that_stack_share_a_job():
    _, (run, *_) = study_of("tiny-qwen2")
    assert stack_size(run) == 8
    _, (run, *_) = study_of("tiny-qwen2", world='dtype = "bfloat16"')
    assert stack_size(run) == 1


def test_only_tiny_models_of_one_file_stack(tmp_path):
    world = LLMWorld(model="any", seeds=1)
    tiny = find_model("tiny-llama")
    assert stacks(world, tiny, "cpu")
    assert not stacks(world, tiny, "cuda")
    large = replace(tiny, folder=tmp_path / "none", config=tiny.config | {"vocab_size": 200_000})
    assert Sizes.of(large.config).parameters > STACKED
    assert not stacks(world, large, "cpu")
    folder = shutil.copytree(tiny.folder, tmp_path / "several")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    shutil.copy(folder / "model-1.safetensors", folder / "model-2.safetensors")
    index = {"weight_map": {"lm_head.weight": "model-1.safetensors", "rest": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not stacks(world, find_model(str(folder)), "cpu")


@pytest.mark.parametrize(
    ("device", "gpus", "fallback"), [("cpu", 0, False), ("cuda", 1, False), ("auto", 1, True)]
)
def test_what_an_executor_is_told(device, gpus, fallback):
    _, runs = study_of("tiny-qwen2", device=device)
    told = need(runs)
    assert (told.gpus, told.fallback is not None) == (gpus, fallback)
    if fallback:
        assert told.fallback == need(study_of("tiny-qwen2")[1])


def test_vllm_takes_its_share_of_a_gpu_and_sharded_learners_ranks():
    _, runs = study_of("tiny-qwen2", device="cuda", world='engine = "vllm"\ngpu_memory = 0.3\nshards = 2')
    told = need(runs)
    assert (told.gpu_share, told.gpus, told.ranks, told.cpus) == (0.3, 2, 2, 2)
