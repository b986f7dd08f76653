"""The shipped base models are what their provenance says."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import llm_runs
from banditrft.streams import Purpose
from llm_runs.base_models import MODELS, SHIPPED, find_model
from llm_runs.interfaces import Address
from llm_runs.tasks import load_task
from llm_runs.tiny.pretraining import GRADES, ORIGINS, rates
from llm_runs.tokenizers import load_tokenizer

pytestmark = pytest.mark.slow(17)

EACH = pytest.mark.parametrize("name", ORIGINS)
PAIRS = [(name, task) for name, origin in ORIGINS.items() for task in origin.tasks]
LARGEST_FILE = 1_500_000


def provenance(name):
    return json.loads((MODELS / name / "provenance.json").read_text())


def test_every_shipped_model_can_be_made_again():
    assert set(SHIPPED) == set(ORIGINS)


@EACH
def test_provenance_names_the_recipe_and_the_weights(name):
    told, origin = provenance(name), ORIGINS[name]
    assert told["name"] == name
    assert told["tasks"] == [task.name for task in origin.tasks]
    assert told["weights_sha256"] == llm_runs.weights_hash(name)
    assert told["recipe_hash"] == origin.hash
    assert told["steps"] == origin.recipe.steps
    assert told["command"] == f"banditrft base-model train {name} --out DIR"
    assert told["parameters"] == find_model(name).parameters
    assert (MODELS / name / "model.safetensors").stat().st_size < LARGEST_FILE


def test_recipes_are_fixed_for_ever():
    # The shipped weights are those of these recipes and of these first and last batches.
    assert {name: origin.hash for name, origin in ORIGINS.items()} == {
        "tiny-qwen2": "d90c06b8f9f400b9",
        "tiny-qwen2-words": "bb53bec3bdda81ea",
        "tiny-llama": "0dc32f1bad5290df",
        "tiny-llama-words": "48d407d771b54cea",
        "tiny-olmo2": "d3082284972db962",
        "tiny-olmo2-words": "335a0bdec93c8c9d",
    }


@EACH
def test_transformers_loads_it(name):
    origin = ORIGINS[name]
    model = AutoModelForCausalLM.from_pretrained(MODELS / name, local_files_only=True)
    assert model.config.model_type == origin.architecture
    assert model.dtype == torch.float32
    assert sum(p.numel() for p in model.parameters()) == provenance(name)["parameters"]
    # AutoTokenizer reads every Qwen2 folder as Qwen's own byte-level tokenizer, which drops our blanks.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(MODELS / name, local_files_only=True)
    assert tokenizer.eos_token_id == origin.characters.eos
    for task in origin.tasks:
        for item in task.items("pool", len(task.families)):
            assert tokenizer(item.prompt)["input_ids"] == origin.characters.encode(item)
            answer = f"{task.mark}{item.answer}"
            ids = [*origin.characters.encode_text(answer), origin.characters.eos]
            assert tokenizer.decode(ids, skip_special_tokens=True) == answer


@EACH
def test_its_tokenizer_is_read_without_transformers(name):
    assert load_tokenizer(MODELS / name) == ORIGINS[name].characters


@pytest.mark.parametrize(("name", "task"), PAIRS, ids=[f"{name}-{task.name}" for name, task in PAIRS])
def test_base_pass_at_1_is_the_recorded_one(name, task):
    """Measured again with other random numbers: within four standard errors."""
    measured = provenance(name)["measured"]
    recorded, items, samples = measured["tasks"][task.name], measured["items"], 8
    address = Address(1, [0], Purpose.EVAL_TEST)
    found = rates(find_model(name), task, task.items("test", items), samples, address)
    error = 4 * (0.25 / (samples * items)) ** 0.5
    for verdict, mean in zip(GRADES, found.mean(0), strict=True):
        assert abs(mean - recorded["test"][verdict]) < error, verdict
    deciles = recorded["pool"]["strict_deciles"]
    assert deciles[9] - deciles[1] > 0.25  # a wide spread over items
    assert deciles[0] < 0.15
    assert deciles[-1] > 0.55


def test_partial_credit_is_given_in_the_graded_task_alone():
    for name, task in PAIRS:
        found = provenance(name)["measured"]["tasks"][task.name]["pool"]
        assert (found["score"] > found["strict"]) == (task.name == "tiny-sort")


def test_transformers_own_generation_has_the_same_pass_at_1():
    """The whole sampler against `generate`, on one query: same rate up to noise."""
    task, characters = load_task("arithmetic"), ORIGINS["tiny-qwen2"].characters
    item, samples = task.items("pool", 8)[7], 1500
    model = AutoModelForCausalLM.from_pretrained(MODELS / "tiny-qwen2", local_files_only=True)
    ids = torch.tensor([characters.encode(item)] * samples)
    torch.manual_seed(0)
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        max_new_tokens=task.max_new,
    )
    texts = [characters.decode(row) for row in out[:, ids.shape[1] :].tolist()]
    grader = task.grader()
    theirs = sum(grader.grade(text, item.answer).strict for text in texts) / samples
    ours = rates(find_model("tiny-qwen2"), task, [item], samples, Address(3, [0], Purpose.EVAL_TRAIN))[0, 0]
    assert 0.1 < theirs < 0.9
    assert abs(ours - theirs) < 4 * (2 * theirs * (1 - theirs) / samples) ** 0.5
