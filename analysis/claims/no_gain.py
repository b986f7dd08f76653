"""Type "no-better": a change adds little to the final Pass@1, or keeps it (B2, B5, and tables).

Where neither condition is shown to end above its placebo there is no word: what learns nothing shows nothing.
"""

from analysis.claims import placebos
from analysis.claims.cases import Found, Type
from analysis.claims.components import between, own_gain
from analysis.claims.reading import Band, Measured, secondary
from analysis.claims.worlds import (
    Group,
    UntestableError,
    enough,
    final,
    pools,
    table,
    two_named,
)
from analysis.inference.means import margin, paired_difference
from analysis.loading.records import Cell, Records
from analysis.results import Note, Secondary
from banditrft.claims import AtLeast, Fields, NoGain, contrasts

SHARE = 0.2
"""A stricter margin is named in a note: this share of the comparator's own gain."""
Two = tuple[Cell, Cell]


def read(records: Records, group: Group, claim: NoGain) -> Found:
    """The difference of two conditions against the claim's margin, and that one of them learns."""
    pairs = select(records, group.world, claim)
    first, second = pairs[0]
    extra = [_contrast(*pair) for pair in pairs[1:]]
    if claim.split == "test":
        extra += [own_gain(first), own_gain(second)]
    keys, values = table((first, second), [final(c, claim.split) for c in (first, second)])
    enough(keys, 2)
    gains = placebos.gains_gate(records, [first, second], claim.split)
    name = "no-worse" if claim.two_sided and claim.own is None else "no-better"

    def part(width: float) -> Measured:
        band = Band(-width, width, gain_only=not claim.two_sided)
        part_id = name if claim.split == "test" else f"{name}-train"
        return between(
            part_id, (first, second), keys, values, band, tuple(extra), split=claim.split, needs="gains"
        )

    return placebos.gated(
        [part(claim.margin_points)],
        gains,
        first,
        cells=[first, second],
        placebo=placebos.gains(records, group.world),
        notes=_margin(first, claim),
        stricter=() if claim.stricter is None else (part(claim.stricter),),
    )


def select(records: Records, world: str, claim: NoGain) -> list[Two]:
    """Pairs of conditions without and with the change, the one that decides first."""
    if claim.own is not None:
        a, b = two_named(records, world, claim.own.conditions, claim.split)
        return [(b, a)]
    designs, cells = records.designs(world), records.of(world)

    def found(changed: Fields) -> list[tuple[str, str]]:
        """With a population of the group's size for the statistics, where the claim asks for it."""
        return [
            (a, b)
            for a, b in contrasts(designs, claim.where, changed)
            if not claim.keep_group or designs[b].replay_window == designs[a].rollouts
        ]

    pairs = found(claim.changed)
    if not pairs or not all(cells[n].has_test and cells[n].n > 1 for n in pairs[0]):
        raise UntestableError("no tested pair")
    others = [pair for pair in found(_wider(claim)) if pair != pairs[0]]
    return [(cells[a], cells[b]) for a, b in (pairs[0], *others)]


def _wider(claim: NoGain) -> Fields:
    """The same change with any number of queries and, under replay, of fresh rollouts: shown, not judged."""
    free = {"batch_size": AtLeast(1)} | ({"rollouts": AtLeast(1)} if claim.keep_group else {})
    return tuple((dict(claim.changed) | free).items())


def _contrast(first: Cell, second: Cell) -> Secondary:
    _, values = table((first, second), (first.test, second.test))
    difference = paired_difference(values[:, 1], values[:, 0])
    return secondary("contrast", difference, difference.n, first=first.condition, second=second.condition)


def _margin(cell: Cell, claim: NoGain) -> list[Note]:
    """That a share of what the comparator gains would be a smaller margin than the ledger's."""
    if claim.own is not None:
        return []
    gain, width = paired_difference(cell.test, cell.test_base), claim.margin_points
    strict = margin(width, SHARE, gain.estimate)
    if strict >= width:
        return []
    said = {"margin": width, "share": SHARE, "condition": cell.condition, "strict": strict}
    return [Note("own margin", said)]


TYPES = (Type(NoGain, read, pools, "no pool"),)
