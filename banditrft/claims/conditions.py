"""Which conditions of a study a claim reads: found by the fields of their designs, never by their names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from banditrft.design import PLACEBOS, Design

Fields = tuple[tuple[str, object], ...]
"""Design fields and what each must be: one value, any of a tuple, or `AtLeast`."""


@dataclass(frozen=True)
class AtLeast:
    """Any number from `least` on."""

    least: int


MINIMAL: Fields = (("batch_size", 1), ("rollouts", 1), ("signal", "raw"), ("reward", "zero-one"))
"""The minimal bandit: one query, one rollout, the raw {0, 1} reward."""


def meets(design: Design, where: Fields) -> bool:
    """Whether a design has all the wanted values."""
    return all(_fits(getattr(design, field), wanted) for field, wanted in where)


def conditions(designs: Mapping[str, Design], where: Fields) -> list[str]:
    """Names of the conditions that have the wanted values, in the order of the study."""
    return [name for name, design in designs.items() if meets(design, where)]


def contrasts(designs: Mapping[str, Design], where: Fields, changed: Fields) -> list[tuple[str, str]]:
    """Pairs of conditions (A, B): A has the wanted values, B the changed ones, and nothing else differs.

    Args:
        designs: Condition name -> design, as resolved in one world.
        where: What A must be.
        changed: What B must be in the fields that may differ.
    """
    free = {field for field, _ in changed}
    partners: dict[frozenset[tuple[str, object]], list[str]] = {}
    for b in conditions(designs, changed):
        partners.setdefault(frozenset(rest(designs[b], free).items()), []).append(b)
    return [
        (a, b)
        for a in conditions(designs, where)
        for b in partners.get(frozenset(rest(designs[a], free).items()), ())
        if a != b
    ]


def ladders(
    designs: Mapping[str, Design], where: Fields, free: set[str], step: Callable[[Design], float]
) -> list[list[str]]:
    """Families of conditions that differ in the free fields alone, each ordered by `step`, largest first."""
    families: dict[str, list[str]] = {}
    for name in conditions(designs, where):
        families.setdefault(repr(sorted(rest(designs[name], free).items())), []).append(name)
    ordered = [sorted(names, key=lambda n: step(designs[n])) for names in families.values()]
    return sorted(ordered, key=len, reverse=True)


def rest(design: Design, free: set[str]) -> dict[str, object]:
    """A design's values but for the free fields."""
    return {k: v for k, v in dict(design).items() if k not in free}


def single_query_conditions(designs: Mapping[str, Design], optimizer: str = "adam") -> list[str]:
    """Names of the conditions that are the minimal bandit: one query, one rollout, the raw {0, 1} reward."""
    return conditions(designs, (*MINIMAL, ("optimizer", optimizer)))


def rollout_pairs(
    designs: Mapping[str, Design], rollouts: tuple[int, int], optimizer: str
) -> list[tuple[str, str]]:
    """Pairs of conditions (few, many) that differ in nothing but the number of rollouts.

    Args:
        designs: Condition name -> design, as resolved in one world.
        rollouts: The two group sizes.
        optimizer: Only conditions under this optimiser.
    """
    few, many = rollouts
    where = (*MINIMAL, ("rollouts", few), ("optimizer", optimizer))
    return contrasts(designs, tuple(dict(where).items()), (("rollouts", many),))


def placebo_conditions(designs: Mapping[str, Design]) -> list[str]:
    """Names of the conditions whose rewards ignore the answer: random ones, and yoked ones."""
    return conditions(designs, (("reward", PLACEBOS),))


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, AtLeast):
        return isinstance(value, int) and value >= wanted.least
    return value in wanted if isinstance(wanted, tuple) else value == wanted


def describe(fields: Fields) -> str:
    """Design fields and their values in words."""
    return ", ".join(f"{field} {_value(wanted)}" for field, wanted in fields)


def _value(wanted: object) -> str:
    if isinstance(wanted, AtLeast):
        return f">= {wanted.least}"
    return f"in {list(wanted)}" if isinstance(wanted, tuple) else f"= {wanted!r}"
