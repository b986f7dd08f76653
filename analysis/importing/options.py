"""What the user of an import says about runs, because their logs do not."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.importing.whole import OF_REWARD, Scale
from banditrft.design import Design, Evaluation, parse
from banditrft.errors import InputError

ENDS = ("rounds", "learning_rate")
"""Settings a design needs a number for; 1 stands there where they are unknown."""
LIMITS = {"samples": 10**9, "test_samples": 10**9, "rollouts": 10**6, "log_every": 10**6}
"""Largest value of each number that the user states."""


@dataclass(frozen=True)
class Options:
    """What is known besides the logs.

    Attributes:
        world: Name of the world; the model's name, or else the tool's, where it is empty.
        model: Model that was trained.
        task: Questions it was trained on.
        single_query: Whether each run trained on one query, the same for every seed.
        samples: Responses behind a step's mean reward; None leaves rewards without counts.
        test_samples: Responses behind a test evaluation's mean; None leaves it out.
        columns: Our name (step, reward, test, ...) -> the log's; a name that ends in % is in percent.
        settings: Condition -> Design fields and values; those of "" hold for every condition.
        conditions: Name of all runs' condition, or one name per path.
        rows: Of a table with a row per run, only rows in which these columns match these patterns.
        rollouts: Of a JSON file of fractions, the rollouts behind each.
        log_every: Steps that a row's mean reward covers; None takes the log's word, or else 1.
        scale: Rewards of a wrong and a right answer; None leaves it to the reward map and the log.
        test_scale: The same of test evaluations.
        common_rounds: Leave out rounds that not all runs of a condition have, instead of refusing them.
    """

    world: str = ""
    model: str | None = None
    task: str | None = None
    single_query: bool = False
    samples: int | None = None
    test_samples: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    rows: Mapping[str, str] = field(default_factory=dict)
    rollouts: int | None = None
    log_every: int | None = None
    scale: Scale | None = None
    test_scale: Scale | None = None
    common_rounds: bool = False

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise InputError(f"{name}: must lie in 1..{most}, got {value}")
        for pattern in self.rows.values():
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"rows: must be a regular expression ({error}), got {pattern!r}") from None

    def condition_of(self, paths: Sequence[Path]) -> list[str]:
        """Condition of each path.

        Raises:
            InputError: Neither one name, nor one per path.
        """
        if len(self.conditions) <= 1:
            return list(self.conditions or ("run",)) * len(paths)
        if len(self.conditions) != len(paths):
            raise InputError(
                f"condition: give one name for all runs or one for each of {len(paths)}, "
                f"got {len(self.conditions)}"
            )
        return list(self.conditions)

    def only(self, tool: str, columns: Iterable[str], options: Iterable[str]) -> None:
        """Refuse what the user said and nothing would read.

        Args:
            tool: What is read, for the message.
            columns: Our names that may be mapped, besides settings of a design.
            options: Names of `Options` that are read here and not everywhere.

        Raises:
            InputError: A mapped name is none of them, or an option is given that is not read.
        """
        known = [*columns, *Design.model_fields]
        if stray := [name for name in self.columns if name not in known]:
            raise InputError(
                f"map: {stray[0]!r} is not read from {tool}; names are {', '.join(columns)}, or a setting of "
                "a design"
            )
        for name in sorted({*LIMITS, "rows", "scale", "test_scale"} - {*options}):
            if getattr(self, name):
                raise InputError(f"{name}: is not read from {tool}")

    def reward(self, condition: str) -> str | None:
        """Reward map of a condition, where the user says it."""
        both = {**self.settings.get("", {}), **self.settings.get(condition, {})}
        return None if (found := both.get("reward")) is None else str(found)

    def stated(self, condition: str) -> Scale | None:
        """Scale of a condition's rewards, where the user says it."""
        return self.scale or OF_REWARD.get(self.reward(condition) or "")

    def design(self, condition: str, found: Mapping[str, Any]) -> tuple[Design, tuple[str, ...]]:
        """A condition's design, and the names of the settings nobody gave.

        Args:
            condition: Its name.
            found: What the logs say; the user's word wins.

        Raises:
            InputError: A setting is unknown, or its value impossible.
        """
        given = {**found, **self.settings.get("", {}), **self.settings.get(condition, {})}
        for name in given:
            if name not in Design.model_fields:
                raise InputError(f"set: {name}: is not a setting of a design")
        design = parse(Design, {**dict.fromkeys(ENDS, 1), **given}, f"condition {condition!r}")
        return design, tuple(name for name in Design.model_fields if name not in given)


def evaluation(samples: int | None, test_samples: int | None) -> Evaluation:
    """How runs of a condition were evaluated; the tables state every evaluation's own samples and round.

    Args:
        samples: Fewest responses of a run's last train evaluation, if there is one.
        test_samples: Fewest of a run's last test evaluation, likewise.
    """
    most = 2**31 - 1
    train, test = min(samples or 1, most), min(test_samples or 1, most)
    return Evaluation(
        eval_every=1,
        eval_samples=train,
        test_samples=test,
        final_eval_samples=train,
        final_test_samples=test,
    )
