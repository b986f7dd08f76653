"""What a claim's module hands to the judge: two p-values, and a verdict waiting for Holm's level.

A `Group` is the worlds that one verdict reads. The simulated world reads hitting times and A1 in the lumped
bandit and the test set in the contextual one; a language model is one world for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from analysis.loading.records import Records
from analysis.verdict import Verdict
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld, LumpedWorld


@dataclass(frozen=True)
class Group:
    """The worlds one verdict reads.

    Attributes:
        kind: "sim" or "llm".
        name: What the verdict is filed under: the model, or the simulated worlds.
        train: World of hitting times and of A1; None if the study has none.
        test: World with a test set; None if the study has none.
    """

    kind: Literal["sim", "llm"]
    name: str
    train: str | None
    test: str | None


@dataclass(frozen=True)
class Finding:
    """A claim in one group before Holm.

    Attributes:
        p_support: p-value against "the claim is false".
        p_refute: p-value against "the claim is true", corrected within the claim.
        testable: Whether the study holds the conditions at all; if not, it is no member of the family.
        build: (level, adjusted p, family size) -> verdict.
    """

    p_support: float
    p_refute: float
    testable: bool
    build: Callable[[float, float | None, int], Verdict]


def groups(records: Records) -> list[Group]:
    """One group for the first lumped and contextual worlds, one per language model; only with records."""
    worlds = [w for w in records.worlds.values() if records.of(w.name)]
    lumped = next((w.name for w in worlds if isinstance(w, LumpedWorld)), None)
    contextual = next((w.name for w in worlds if isinstance(w, ContextualWorld)), None)
    found = []
    if lumped or contextual:
        found.append(Group("sim", "simulated", lumped, contextual))
    for world in worlds:
        if isinstance(world, LLMWorld):
            found.append(Group("llm", world.name, world.name, world.name))
        elif isinstance(world, ImportedWorld):
            curves = all(c.has_train for c in records.of(world.name).values())
            train = world.name if curves and world.single_query else None
            found.append(Group("llm", world.name, train, world.name))
    return found
