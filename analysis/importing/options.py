"""What the user of an import says about runs, because their logs do not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from banditrft.design import Design, Evaluation, parse
from banditrft.errors import InputError

ENDS = ("rounds", "learning_rate")
"""Settings a design needs a number for; 1 stands there where they are unknown."""


@dataclass(frozen=True)
class Options:
    """What is known beside the logs.

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

    def __post_init__(self) -> None:
        for name in ("samples", "test_samples", "rollouts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: must be at least 1, got {value}")
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
                f"condition: give one name for all paths or one for each of {len(paths)}, "
                f"got {len(self.conditions)}"
            )
        return list(self.conditions)

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
    """How imported runs were evaluated; the tables state every evaluation's own samples and round."""
    return Evaluation(
        eval_every=1,
        eval_samples=samples or 1,
        final_eval_samples=samples or 1,
        final_test_samples=test_samples or 1,
    )
