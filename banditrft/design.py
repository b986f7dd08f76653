"""The frozen description of an RFT configuration, and of how it is measured.

`Design` is what the learner does; `Evaluation` is what is looked at. They are written side by side in a study
file and hashed apart: a run is identified by its design and by the evaluations taken *during* training, its
final evaluation by a second hash, so that changing only the final evaluation re-evaluates checkpoints.
Field names are public: TOML files, flags, records and reports use them.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from banditrft.brief import brief, shown
from banditrft.errors import InputError

M = TypeVar("M", bound=BaseModel)
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Signal = Literal["raw", "centered", "batch-centered", "grpo", "rloo", "gpg", "reinforce-plus-plus"]
EarnedReward = Literal["zero-one", "minus-one-zero", "minus-one-one", "graded", "noisy"]
Reward = Literal[EarnedReward, "random", "yoked"]
PLACEBOS: tuple[Reward, ...] = ("random", "yoked")
"""Reward maps that ignore the answer."""
Aggregation = Literal["token-mean", "sequence-mean", "sequence-sum", "max-length", "micro-batch-mean"]
AGGREGATION_NAMES: dict[str, Aggregation] = {
    "dapo": "token-mean",
    "grpo": "sequence-mean",
    "seq-mean-token-mean": "sequence-mean",
    "seq-mean-token-sum": "sequence-sum",
    "dr_grpo": "max-length",
    "seq-mean-token-sum-norm": "max-length",
    "bnpo": "micro-batch-mean",
}
"""What TRL (`loss_type`) and verl (`loss_agg_mode`) call them."""
GROUP_SIGNALS: tuple[Signal, ...] = ("centered", "grpo", "rloo")
BATCH_SIGNALS: tuple[Signal, ...] = ("batch-centered", "gpg", "reinforce-plus-plus")


class Frozen(BaseModel):
    """A value: immutable, unknown keys rejected, no silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __repr__(self) -> str:
        """The fields that differ from their defaults."""
        given = changed(self)
        return brief(
            type(self).__name__, {n: getattr(self, n) for n in type(self).model_fields if n in given}
        )


def _canonical_aggregation(name: object) -> object:
    return AGGREGATION_NAMES.get(name, name) if isinstance(name, str) else name


def changed(value: Frozen) -> set[str]:
    """Names of the fields that differ from their defaults, whether they were given or not."""
    return {
        name
        for name, field in type(value).model_fields.items()
        if getattr(value, name) != field.get_default(call_default_factory=True)
    }


class Design(Frozen):
    """What the learner does. Defaults are the minimal bandit: one query, one rollout, the raw reward."""

    batch_size: Count = Field(1, description="queries per round, B")
    rollouts: Annotated[int, Field(ge=1, le=4096)] = Field(1, description="rollouts per query and round, G")
    baseline_rollouts: Annotated[int, Field(ge=0)] = Field(
        0, description="extra rollouts that feed only the mean and standard deviation of a group"
    )
    replay_window: Annotated[int, Field(ge=0)] = Field(
        0,
        description="per-query window of past scalar rewards that feeds mean and std; 0 is off",
    )
    reward: Reward = Field(
        "zero-one",
        description="reward map; the placebos are 'random' and 'yoked', whose rewards are those "
        "of the same design with another reward map, each group's dealt out again at random",
    )
    false_positive: Probability = Field(0.0, description="P(reward 1 | wrong) under reward = 'noisy'")
    false_negative: Probability = Field(0.0, description="P(reward 0 | right) under reward = 'noisy'")
    rate: Probability | Literal["base"] = Field("base", description="P(reward 1) under reward = 'random'")
    yoked_to: EarnedReward = Field("zero-one", description="the other reward map, under reward = 'yoked'")
    signal: Signal = Field("raw", description="learning signal")
    signal_ddof: Annotated[int, Field(ge=0, le=1)] = Field(1, description="ddof of grpo's standard deviation")
    signal_eps: Positive = Field(1e-6, description="added to grpo's standard deviation")
    match_step_size: bool = Field(
        False, description="scale the signal so that its drift at base equals raw's"
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        "adam", description="optimiser, with torch's semantics"
    )
    learning_rate: Positive = Field(description="step size, eta")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), strict=False, description="Adam's decay rates"
    )
    adam_eps: Positive = Field(1e-8, description="Adam's eps; it binds in a large action space (theory §4)")
    weight_decay: NonNegative = Field(0.0, description="decoupled weight decay of adamw")
    grad_clip: Positive | None = Field(None, description="largest norm of the gradient")
    kl_coef: NonNegative = Field(0.0, description="weight of the KL to the initial policy")
    kl_estimator: Literal["k1", "k2", "k3"] = Field("k3", description="KL estimator per token")
    kl_placement: Literal["loss", "reward"] = Field(
        "loss", description="KL as a term of the loss, or taken off the reward, summed over a response"
    )
    clip_low: Annotated[float, Field(gt=0, le=1)] = Field(0.2, description="lower clip of the policy ratio")
    clip_high: Positive = Field(0.2, description="upper clip of the policy ratio")
    dual_clip: Annotated[float, Field(gt=1)] | None = Field(
        None, description="largest loss of a negative signal, in units of the signal (c; TRL's delta)"
    )
    updates_per_round: Count = Field(1, description="optimiser steps on one round's rollouts")
    aggregation: Annotated[Aggregation, BeforeValidator(_canonical_aggregation)] = Field(
        "token-mean", description="how token losses become one loss; the frameworks' names are understood"
    )
    skip_equal_groups: bool = Field(
        False, description="leave groups of equal rewards out of the loss (dynamic sampling)"
    )
    rounds: Count = Field(description="number of rounds")

    @property
    def treatment(self) -> "Design":
        """The design that earns the rewards: of a yoked one its pair, of any other the design itself."""
        if self.reward != "yoked":
            return self
        return self.model_copy(update={"reward": self.yoked_to, "yoked_to": "zero-one"})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems: list[str] = []
        grouped = max(self.rollouts + self.baseline_rollouts, self.replay_window) > 1
        if self.signal in GROUP_SIGNALS and not grouped:
            problems.append(
                f"signal: '{self.signal}' compares a rollout with its group and needs rollouts + "
                f"baseline_rollouts > 1 or replay_window > 1, got rollouts = {self.rollouts}, "
                f"baseline_rollouts = {self.baseline_rollouts}, replay_window = {self.replay_window}"
            )
        if self.signal in BATCH_SIGNALS and self.batch_size * self.rollouts < 2:
            problems.append(f"signal: '{self.signal}' needs batch_size x rollouts > 1, got 1")
        if self.treatment.reward != "noisy" and (self.false_positive or self.false_negative):
            problems.append(
                "false_positive, false_negative: belong to reward = 'noisy', got reward = "
                f"'{self.treatment.reward}'"
            )
        if self.reward != "yoked" and self.yoked_to != "zero-one":
            problems.append(f"yoked_to: belongs to reward = 'yoked', got reward = '{self.reward}'")
        if self.match_step_size and self.optimizer != "sgd":
            problems.append(
                f"match_step_size: needs optimizer = 'sgd', since '{self.optimizer}' normalises the step "
                "itself, got true"
            )
        if self.weight_decay and self.optimizer != "adamw":
            problems.append(
                f"weight_decay: belongs to optimizer = 'adamw', got {self.weight_decay} with "
                f"'{self.optimizer}'"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Evaluation(Frozen):
    """What is measured, when and how often. Sampling is at the world's temperature."""

    eval_every: Count = Field(5, description="rounds between evaluations of the training queries")
    eval_samples: Count = Field(64, description="samples per training query and evaluation")
    test_every: Count | None = Field(
        None, description="rounds between test evaluations; none: base and end only"
    )
    test_samples: Count = Field(1, description="samples per test item in a test evaluation during training")
    final_eval_samples: Count = Field(512, description="samples per training query that decide A1")
    final_test_samples: Count = Field(4, description="samples per test item at the base and at the end")


CURVE_FIELDS = ("eval_every", "eval_samples", "test_every", "test_samples")
FINAL_FIELDS = ("final_eval_samples", "final_test_samples")


def explain(error: ValidationError, where: str = "") -> str:
    """All of a validation's errors, one line each: field path, constraint, value."""
    lines: dict[str, list[str]] = {}
    items = error.errors()
    for item in items:
        depth = len(item["loc"])
        if item["type"] == "too_short" and any(
            len(other["loc"]) > depth and other["loc"][:depth] == item["loc"] for other in items
        ):
            continue  # its entries are wrong, which is said of each
        path = where
        for part in item["loc"]:
            if str(part).startswith(("constrained-", "literal[", "tuple[")):
                continue  # which alternative of a union it is, no part of the field's name
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "is not a known key"
        elif item["type"] == "missing":
            message = "is required"
        elif item["type"] == "tuple_type":
            message = f"should be a list, got {shown(item['input'])}"
        elif item["type"] == "too_short":
            message = f"needs at least {item['ctx']['min_length']} entry, got {item['ctx']['actual_length']}"
        elif item["type"] != "value_error":
            message = f"{message[0].lower()}{message[1:]}, got {shown(item['input'])}"
        lines.setdefault(path, []).append(message)
    return "\n".join(
        f"{path}: {message}" if path else message
        for path, messages in lines.items()
        for message in _alternatives(list(dict.fromkeys(messages)))
    )


def _alternatives(messages: list[str]) -> list[str]:
    """What each alternative of a union asks of one value, as one message."""
    parts = [message.rpartition(", got ") for message in messages]
    if len({value for _, _, value in parts}) > 1 or not all(wanted for wanted, _, _ in parts):
        return messages
    return [f"{', or '.join(wanted for wanted, _, _ in parts)}, got {parts[0][2]}"]


def parse(model: type[M], values: dict[str, Any], where: str = "") -> M:
    """Validate plain values into a model.

    Raises:
        InputError: Names every field that is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, where)) from None
