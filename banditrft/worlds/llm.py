"""Settings of the language-model world: which model answers which questions, and how it is run."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banditrft.design import Count, Design, Frozen, Positive, Probability, changed
from banditrft.names import Name, check_name
from banditrft.rewards import reward_map

RUNNING = frozenset(
    {
        "micro_batch",
        "gradient_checkpointing",
        "device",
        "gpu_memory",
        "tensor_parallel",
        "shards",
        "checkpoint_every",
        "canary_every",
        "tracker",
    }
)
"""Settings that say how a run is carried out and not what it computes: no part of a run's id."""


SMALLEST_TEMPERATURE = 0.01
"""Logits over a smaller one may leave the range of float32, and vLLM samples at this one in its place."""


class QuerySelection(Frozen):
    """Training queries chosen by base Pass@1, before any fine-tuning."""

    count: Count = Field(4, description="queries to choose, evenly over the range of log-odds")
    base_pass_at_1: Annotated[tuple[Probability, Probability], Field(strict=False)] = Field(
        (0.1, 0.5), description="range of base Pass@1 to choose from"
    )
    pool: Count = Field(160, description="candidates looked at")
    samples: Count = Field(128, description="base samples per candidate")
    items: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)] = Field(
        (), description="these items of the task instead of a choice; their base Pass@1 is still measured"
    )
    file: str | None = Field(
        None,
        description="table of `banditrft difficulty` to choose from, in place of sampling anew; below 64 "
        "samples per item the chosen are measured again",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.base_pass_at_1
        if low >= high:
            raise ValueError(f"base_pass_at_1: the range must rise, got [{low}, {high}]")
        given = changed(self)
        if self.file is not None and given & {"items", "pool", "samples"}:
            raise ValueError("file: decides items, pool and samples, which must not be given beside it")
        if self.items:
            if given & {"count", "base_pass_at_1", "pool"}:
                raise ValueError("items: leave nothing to choose by count, base_pass_at_1 or pool")
            if len(set(self.items)) < len(self.items):
                raise ValueError(f"items: each may stand there once, got {list(self.items)}")
        elif self.pool < self.count:
            raise ValueError(f"pool: must hold at least count = {self.count} candidates, got {self.pool}")
        return self


class Lora(Frozen):
    """Low-rank adapters trained in place of the full weights (arXiv 2106.09685)."""

    rank: Count = Field(16, description="rank of an update")
    alpha: Positive = Field(32.0, description="an update is scaled by alpha / rank")
    targets: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="modules that get adapters; all linear ones by default"
    )


class LLMWorld(Frozen):
    """A causal language model, sampled and trained (Pass@1 by sampling).

    With `train_items` a run trains on a pool of queries in shuffled batches; without, each run trains on one
    query, chosen by base Pass@1, and a batch holds copies of it, each a group of its own.
    """

    kind: Literal["llm"] = "llm"
    name: Name = Field("", description="what records and the report call it [the model]")
    model: str = Field(min_length=1, description="shipped name, folder, or name on the Hugging Face hub")
    revision: str | None = Field(None, description="commit or tag of a model on the hub")
    task: str = Field("arithmetic", description="shipped name, 'file', entry point, or module:Class")
    train_file: str | None = Field(None, description="questions to train on, .jsonl or verl's .parquet")
    test_file: str | None = Field(None, description="held-out questions, likewise")
    grader: str | None = Field(None, description="grader of the files' answers [the task's own]")
    prompt_max: Count | None = Field(
        None, description="longest prompt in tokens [the task's, or what the model holds]"
    )
    max_new: Count | None = Field(None, description="longest response in tokens [likewise]")
    chat: bool | None = Field(None, description="use the tokenizer's chat template [where it has one]")
    engine: Literal["torch", "vllm"] = Field("torch", description="what samples")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="of sampling and of forward passes; master weights are float32"
    )
    lora: Lora | None = Field(None, description="train low-rank adapters; none trains all weights")
    queries: QuerySelection = Field(QuerySelection(), description="how training queries are chosen")
    train_items: Count | Literal["all"] | None = Field(
        None, description="train in batches on a pool of so many queries, the first of the task's"
    )
    test_items: Count | Literal["all"] = Field(200, description="held-out items")
    seeds: Count = Field(description="seeds per query, or of a pool")
    temperature: Annotated[float, Field(ge=SMALLEST_TEMPERATURE, allow_inf_nan=False)] = Field(
        1.0, description=f"of sampling, in training and in evaluation; at least {SMALLEST_TEMPERATURE:g}"
    )
    importance_cap: Positive | None = Field(
        None, description="weigh tokens by min(learner / sampler probability, this); none is no correction"
    )
    keep_texts: Annotated[int, Field(ge=0)] = Field(
        0, description="rounds between records of the responses trained on; 0 is never"
    )
    micro_batch: Count | None = Field(
        None,
        description="responses per forward and backward pass [all]; of tiny models that stack it only weighs "
        "tokens, under 'micro-batch-mean'",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass; not of tiny models that stack"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where a run computes; auto: a GPU if any"
    )
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = Field(
        0.45, description="share of a GPU's memory that the vLLM engine may take"
    )
    tensor_parallel: Count = Field(1, description="GPUs of one vLLM engine")
    shards: Count = Field(1, description="GPUs of one learner (FSDP2), a process each")
    checkpoint_every: Count = Field(50, description="rounds between checkpoints to resume from")
    canary_every: Count = Field(50, description="pushes of weights between checks that the sampler has them")
    tracker: Literal["tensorboard", "wandb", "trackio"] | None = Field(
        None, description="where rounds are also shown while they run"
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.name:
            try:
                object.__setattr__(self, "name", check_name(self.model))
            except ValueError as error:
                raise ValueError(f"model: {error}") from None
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.train_items is not None and self.queries != QuerySelection():
            raise ValueError("queries: a pool of train_items leaves none to choose")
        if (self.train_file is None) != (self.test_file is None):
            raise ValueError("train_file, test_file: both or neither must be given")
        if self.tensor_parallel > 1 and self.engine != "vllm":
            raise ValueError(f"tensor_parallel: needs engine = 'vllm', got {self.tensor_parallel}")
        return self

    def problems(self, design: Design) -> list[str]:
        """What this world cannot run of a design, one line each (beside `banditrft.worlds.SUPPORTED`)."""
        found = []
        if design.aggregation == "micro-batch-mean" and self.micro_batch is None:
            found.append("aggregation: 'micro-batch-mean' needs the world's micro_batch, got none")
        if design.match_step_size and reward_map(design).graded:
            found.append("match_step_size: partial credit has no known drift to match, got reward = 'graded'")
        if design.match_step_size and self.train_items is not None:
            found.append("match_step_size: needs one training query of known base Pass@1, not train_items")
        if design.reward == "random" and design.rate == "base" and self.train_items is not None:
            found.append("rate: a pool's queries differ in base Pass@1, so 'random' needs a number")
        return found + (_unrecorded(design) if design.reward == "yoked" else [])


def _unrecorded(design: Design) -> list[str]:
    """What a yoked design would need of its pair's rewards and records, which hold counts, do not say."""
    found = []
    if design.yoked_to == "graded":
        found.append(
            "yoked_to: records hold the sum of a group's rewards and not the single graded ones, got 'graded'"
        )
    if design.yoked_to == "noisy" and design.kl_coef > 0 and design.kl_placement == "reward":
        found.append(
            "kl_placement: records hold noisy rewards less their penalty, so 'yoked' needs 'loss', got "
            f"'{design.kl_placement}'"
        )
    if design.baseline_rollouts and design.signal != "raw":
        found.append(
            "baseline_rollouts: records do not hold their rewards, so 'yoked' needs 0, got "
            f"{design.baseline_rollouts}"
        )
    return found
