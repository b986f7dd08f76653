"""What rewards drawn at random change on train and test: changes that need no information in the reward."""

from analysis.claims.worlds import Floats, final_train
from analysis.formats import points
from analysis.inference.binomials import Fraction
from analysis.inference.equivalence import paired_difference
from analysis.loading.records import Cell, Records
from analysis.verdict import Placebo, bounded
from banditrft.claims import placebo_conditions


def gains(records: Records, *worlds: str | None) -> tuple[Placebo, ...]:
    """Gains of every placebo condition of some worlds."""
    found: list[Placebo] = []
    for world in dict.fromkeys(w for w in worlds if w):
        cells = records.of(world)
        for name in placebo_conditions(records.designs(world)):
            if cells[name].n > 1:
                found += _gains(cells[name])
    return tuple(found)


def failing(cell: Cell, failures: Fraction, horizon: float) -> Placebo:
    """Placebo runs that fail by a horizon."""
    return Placebo(
        label=f"Placebo runs that fail by round {horizon:g}",
        condition=cell.condition,
        estimate=failures.estimate,
        interval=failures.interval(0.025),
        n=failures.n,
        sentence=f"With rewards drawn at random {failures.successes} of {failures.n} runs fail.",
        kind="fraction",
    )


def _gains(cell: Cell) -> list[Placebo]:
    found = []
    if cell.has_base_train:
        found.append(_gain(cell, "train", final_train(cell), cell.train[:, 0]))
    if cell.has_test:
        found.append(_gain(cell, "test", cell.test, cell.test_base))
    return found


def _gain(cell: Cell, split: str, end: Floats, base: Floats) -> Placebo:
    label = f"Placebo's gain in {split} Pass@1 over the base policy in '{cell.world.name}', points"
    return change(cell, label, split, end, base)


def change(cell: Cell, label: str, split: str, end: Floats, base: Floats) -> Placebo:
    """Change of a placebo condition over the base policy: a comparison, no share of another one's gain."""
    gain = paired_difference(end, base)
    return Placebo(
        label=label,
        condition=cell.condition,
        estimate=gain.estimate,
        interval=bounded(gain.interval(0.025)),
        n=gain.n,
        sentence=(
            f"With rewards drawn at random {split} Pass@1 changes by {points(gain.estimate)} points: such a "
            "change needs no information in the reward."
        ),
    )
