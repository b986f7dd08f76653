"""Where a design runs: settings of the simulated worlds, the language-model world, and imports.

No world setting shares a name with a Design field, so that a world's table in a study file may hold both.
"""

from typing import Any

from banditrft.design import Design, parse
from banditrft.errors import InputError
from banditrft.worlds.contextual import ContextualWorld
from banditrft.worlds.imported import ImportedWorld
from banditrft.worlds.law import ArmLaw
from banditrft.worlds.llm import LLMWorld, QuerySelection
from banditrft.worlds.lumped import ArmClass, LumpedWorld
from banditrft.worlds.sequence import SequenceWorld

__all__ = [
    "SUPPORTED",
    "ArmClass",
    "ArmLaw",
    "ContextualWorld",
    "ImportedWorld",
    "LLMWorld",
    "LumpedWorld",
    "QuerySelection",
    "SequenceWorld",
    "SimWorld",
    "WorldSettings",
    "check_supported",
    "parse_world",
]

SimWorld = LumpedWorld | ContextualWorld | SequenceWorld
WorldSettings = SimWorld | LLMWorld | ImportedWorld

_TABULAR: dict[str, tuple[object, ...]] = {
    "aggregation": ("token-mean",),
    "kl_placement": ("loss",),
    "dual_clip": (None,),
    "skip_equal_groups": (False,),
}
SUPPORTED: dict[str, dict[str, tuple[object, ...]]] = {
    "llm": {},
    "lumped": _TABULAR,
    "contextual": _TABULAR,
    "sequence": _TABULAR,
}
"""Values of Design fields that each kind of world runs; fields not named run with any value."""


def parse_world(values: dict[str, Any], where: str = "") -> WorldSettings:
    """Settings of a world from plain values: its kind decides which.

    Args:
        values: With "kind" ("llm" or "sim") and "world": "lumped", "contextual" or "sequence", or "imported"
            of kind "llm".
        where: Stands before the field in errors.

    Raises:
        InputError: Names every field that is wrong.
    """
    if values.get("kind") == "llm":
        imported = values.get("world") == "imported"
        return parse(ImportedWorld, values, where) if imported else parse(LLMWorld, values, where)
    match values.get("world"):
        case "lumped":
            return parse(LumpedWorld, values, where)
        case "contextual":
            return parse(ContextualWorld, values, where)
        case "sequence":
            return parse(SequenceWorld, values, where)
        case other:
            known = "'lumped', 'contextual' and 'sequence'"
            raise InputError(f"{where}.world: known are {known}, got {other!r}".lstrip("."))


def check_supported(design: Design, world: WorldSettings) -> None:
    """Refuse a design that a world cannot run, before anything is spent.

    Raises:
        InputError: Names every such field, what the world runs, and the value given.
    """
    if isinstance(world, ImportedWorld):
        raise InputError(f"world: '{world.name}' holds logs of another trainer and cannot run anything")
    kind = "llm" if isinstance(world, LLMWorld) else world.world
    problems = [
        f"{field}: world '{world.name}' runs {' | '.join(map(repr, allowed))}, got {getattr(design, field)!r}"
        for field, allowed in SUPPORTED[kind].items()
        if getattr(design, field) not in allowed
    ]
    if isinstance(world, ContextualWorld | LLMWorld):
        problems += world.problems(design)
    if problems:
        raise InputError("\n".join(problems))
