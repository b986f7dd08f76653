"""Where a design runs: the settings of the two simulated worlds and of the language-model world.

No world setting shares a name with a Design field, so that a world's table in a study file may hold both.
"""

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds.contextual import ContextualWorld
from banditrft.worlds.law import ArmLaw
from banditrft.worlds.llm import LLMWorld, QuerySelection
from banditrft.worlds.lumped import ArmClass, LumpedWorld

__all__ = [
    "SUPPORTED",
    "ArmClass",
    "ArmLaw",
    "ContextualWorld",
    "LLMWorld",
    "LumpedWorld",
    "QuerySelection",
    "WorldSettings",
    "check_supported",
]

WorldSettings = LumpedWorld | ContextualWorld | LLMWorld

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
}
"""Values of Design fields that each kind of world runs; fields not named run with any value."""


def check_supported(design: Design, world: WorldSettings) -> None:
    """Refuse a design that a world cannot run, before anything is spent.

    Raises:
        InputError: Names every such field, what the world runs, and the value given.
    """
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
