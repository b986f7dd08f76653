"""Type "no-better": a change adds little to the final test Pass@1, or keeps it (B2, B5).

Where neither condition is shown to end above its placebo there is no word: what learns nothing shows nothing.
"""

from collections.abc import Callable

from analysis.claims import placebos
from analysis.claims.cases import Case, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.gains import between, own_gain
from analysis.claims.reading import Band, Measured, beside
from analysis.claims.worlds import Kind, few_queries, kinds, table, tested
from analysis.inference.means import margin, paired_difference
from analysis.loading.records import Cell, Records
from analysis.verdict import Secondary
from banditrft.claims import AtLeast, Fields, NoGain, contrasts
from banditrft.design import Design

SHARE = 0.2
"""A stricter margin is shown beside: this share of the comparator's own gain."""


def find(records: Records, claim: NoGain) -> list[Finding]:
    """Judge the claim in every world with a test set."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, kind, world, claim) for world in tested(records, kind, single_query=False)]
        found += findings(
            claim, cases or [absent(kind, "no world with a pool of training queries and a test set.")]
        )
    return found


def _case(records: Records, kind: Kind, world: str, claim: NoGain) -> Case:
    designs, cells = records.designs(world), records.of(world)
    fits = _fits(claim, designs)
    pairs = [pair for pair in contrasts(designs, claim.where, claim.changed) if fits(pair)]
    if not pairs or not all(cells[n].has_test and cells[n].n > 1 for n in pairs[0]):
        return Case(kind, world, (), ("no conditions that differ in this alone, with a test set.",))
    first, second = (cells[n] for n in pairs[0])
    wider = contrasts(designs, claim.where, _wider(claim))
    others = [pair for pair in wider if fits(pair) and pair != pairs[0]]
    extra = [_beside(cells[a], cells[b]) for a, b in others]
    extra += [own_gain(first), own_gain(second)]
    keys, values = table((first, second), (first.test, second.test))
    gains = placebos.gains_gate(records, [first, second], "test")

    def part(width: float) -> Measured:
        return between(
            "no-worse" if claim.two_sided else "no-better",
            f"Final test Pass@1, '{second.condition}' minus '{first.condition}'",
            (first, second),
            keys,
            values,
            Band(-width, width, gain_only=not claim.two_sided),
            tuple(extra),
            needs="gains",
        )

    return Case(
        kind,
        world,
        (part(claim.margin_points), *([gains] if gains else [])),
        placebo=placebos.gains(records, world),
        notes=(*few_queries([first]), *_margin(first, claim.margin_points)),
        no_placebo=() if gains else (placebos.needed(first),),
        stricter=() if claim.stricter is None else (part(claim.stricter),),
    )


def _fits(claim: NoGain, designs: dict[str, Design]) -> Callable[[tuple[str, str]], bool]:
    """Whether the statistics' population keeps the size of the group that it stands for, where asked."""

    def fits(pair: tuple[str, str]) -> bool:
        first, second = (designs[n] for n in pair)
        return not claim.keep_group or second.replay_window == first.rollouts

    return fits


def _wider(claim: NoGain) -> Fields:
    """The same change with any number of queries and, under replay, of fresh rollouts: shown, not judged."""
    free = {"batch_size": AtLeast(1)} | ({"rollouts": AtLeast(1)} if claim.keep_group else {})
    return tuple((dict(claim.changed) | free).items())


def _beside(first: Cell, second: Cell) -> Secondary:
    _, values = table((first, second), (first.test, second.test))
    difference = paired_difference(values[:, 1], values[:, 0])
    label = f"'{second.condition}' minus '{first.condition}', points"
    return beside(label, difference, difference.n)


def _margin(cell: Cell, width: float) -> tuple[str, ...]:
    gain = paired_difference(cell.test, cell.test_base)
    strict = margin(width, SHARE, gain.estimate)
    if strict >= width:
        return ()
    return (
        f"The margin is the claim's own, {100 * width:g} points; {SHARE:.0%} of what '{cell.condition}' "
        f"gains would be {100 * strict:.2g}.",
    )
