"""Which condition a transfer test fits, and what else it may predict from it."""

from analysis.fits.bandit_data import check_covered, check_world, known_gain
from analysis.loading.records import Cell, Records
from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import LLMWorld, WorldSettings


def minimal(cells: dict[str, Cell]) -> dict[str, str]:
    """Optimiser ("adam", "sgd") -> its minimal condition: raw {0,1} rewards, fewest rollouts a round.

    The first of the study among equals; optimisers without such a condition are left out.
    """
    found: dict[str, str] = {}
    for name, cell in cells.items():
        design = cell.design
        if (design.signal, design.reward) != ("raw", "zero-one"):
            continue
        try:
            check_covered(design)
        except InputError:
            continue
        family = "sgd" if design.optimizer == "sgd" else "adam"
        if family not in found or _rollouts(design) < _rollouts(cells[found[family]].design):
            found[family] = name
    return found


def ratio_of_gains(world: WorldSettings, fitted: Design, wanted: Design) -> float:
    """Gain of one optimiser over that of another, from the settings of a simulated world.

    Raises:
        InputError: The world is a language model, of which no setting says it.
    """
    one, other = known_gain(world, wanted), known_gain(world, fitted)
    if one is None or other is None:
        raise InputError(
            f"optimizer: {wanted.optimizer}'s log-odds per unit of step are another number than "
            f"{fitted.optimizer}'s (|u|^2 against sum |u_i|, theory 4 and 6), and no setting of world "
            f"'{world.name}' gives it"
        )
    return one / other


def unseen_worlds(records: Records, world: str) -> list[Cell]:
    """Minimal conditions of the study's other worlds of the same kind and model: other queries."""
    here = records.worlds[world]
    found: list[Cell] = []
    for name, other in records.worlds.items():
        if name == world or type(other) is not type(here) or not _same_model(here, other):
            continue
        try:
            check_world(other)
        except InputError:
            continue
        cells = records.of(name)
        found += [cells[condition] for condition in minimal(cells).values()]
    return found


def _same_model(here: WorldSettings, other: WorldSettings) -> bool:
    if isinstance(here, LLMWorld) and isinstance(other, LLMWorld):
        return (here.model, here.task, here.lora) == (other.model, other.task, other.lora)
    return True


def _rollouts(design: Design) -> int:
    return design.batch_size * design.rollouts
