"""A5: four rollouts converge in half the rounds under Adam, hardly faster under SGD, with no test gain.

A conjunction. It is supported when every component is, each at the full level (intersection-union); it is
refuted when one component is, at the level divided by the number of components (a union pays for its
parts).
"""

from dataclasses import dataclass

from analysis.claims import placebos, speed, transfer
from analysis.claims.finding import Finding, Group
from analysis.claims.pairs import Pairs, match
from analysis.claims.speed import Speed
from analysis.claims.transfer import Transfer
from analysis.inference.binomials import Fraction
from analysis.inference.hitting import hitting_times
from analysis.inference.multiplicity import bonferroni
from analysis.loading.records import Cell, Records
from analysis.verdict import Part, Placebo, Verdict, Word
from banditrft.claims import MoreRollouts, placebo_conditions, rollout_pairs

PARTS = ("speed-adam", "speed-sgd", "test")


@dataclass(frozen=True)
class Conjunction:
    """What could be measured of the three components, and why the others could not."""

    parts: tuple[Speed | Transfer, ...]
    missing: tuple[str, ...]


def find(records: Records, group: Group, claim: MoreRollouts) -> Finding:
    """Judge A5 in one group of worlds."""
    measured = _measure(records, group, claim)
    whole = not measured.missing
    p_support = max(p.p_support for p in measured.parts) if whole else 1.0
    p_refute = bonferroni(min((p.p_refute for p in measured.parts), default=1.0), len(PARTS))

    def build(level: float, adjusted: float | None, family: int) -> Verdict:
        parts = tuple(p.part(level, level / len(PARTS)) for p in measured.parts)
        word = _word(parts, whole)
        return Verdict(
            claim=claim.id,
            statement=claim.statement,
            kind=group.kind,
            world=group.name,
            verdict=word,
            summary=_summary(word, parts, measured.missing),
            p=min(p_support, p_refute) if measured.parts else None,
            p_adjusted=adjusted,
            level=level,
            family=family,
            parts=parts,
            placebo=_placebos(records, group, claim),
            notes=(*measured.missing, *_notes(measured.parts)),
        )

    return Finding(p_support, p_refute, bool(measured.parts), build)


def _measure(records: Records, group: Group, claim: MoreRollouts) -> Conjunction:
    few, many = claim.rollouts
    parts: list[Speed | Transfer] = []
    missing: list[str] = []
    for part_id, optimizer, band in (
        ("speed-adam", "adam", claim.speed_band),
        ("speed-sgd", "sgd", claim.sgd_band),
    ):
        title = "Adam" if optimizer == "adam" else "SGD"
        pairs = _pairs(records, group.train, claim, optimizer)
        if pairs is None:
            missing.append(
                f"Speed under {title} is not tested: no conditions differ only in {few} and {many} rollouts."
            )
            continue
        near = _pairs(records, group.test, claim, optimizer) if group.test != group.train else None
        neighbours = [(f"the world '{near.few.world.name}'", near)] if near else []
        label = f"Rounds to train Pass@1 ≥ {claim.pass_at_1:g}, G = {few} over G = {many}, {title}"
        parts.append(speed.measure(part_id, label, pairs, band, claim, neighbours))
    pairs = _pairs(records, group.test, claim, "adam")
    if pairs is None or not (pairs.few.has_test and pairs.many.has_test) or pairs.n < 2:
        missing.append("The test set is not compared: no such conditions with a test set and two runs each.")
    else:
        sgd = _pairs(records, group.test, claim, "sgd")
        neighbours = [("SGD", sgd)] if sgd and sgd.few.has_test and sgd.many.has_test else []
        label = f"Final test Pass@1, G = {many} minus G = {few}, Adam"
        parts.append(transfer.measure(label, pairs, claim, neighbours))
    return Conjunction(tuple(parts), tuple(missing))


def _pairs(records: Records, world: str | None, claim: MoreRollouts, optimizer: str) -> Pairs | None:
    if world is None:
        return None
    found = rollout_pairs(records.designs(world), claim.rollouts, optimizer)
    cells = records.of(world)
    return match(cells[found[0][0]], cells[found[0][1]]) if found else None


def _word(parts: tuple[Part, ...], whole: bool) -> Word:
    if any(p.verdict == "refuted" for p in parts):
        return "refuted"
    return "supported" if whole and all(p.verdict == "supported" for p in parts) else "undecided"


def _summary(word: Word, parts: tuple[Part, ...], missing: tuple[str, ...]) -> str:
    said = []
    for part in parts:
        if part.estimate is None:
            value = "cannot be estimated"
        elif part.kind == "ratio":
            value = f"is {part.estimate:.2f}"
        else:
            value = f"is {100 * part.estimate:+.2f} points".replace("-", "−")
        name = {"speed-adam": "the speed-up under Adam", "speed-sgd": "the speed-up under SGD"}.get(
            part.id, "the change in test Pass@1"
        )
        said.append(f"{name} {value} ({part.verdict})")
    text = ", ".join(said)
    ending = {
        "supported": "all three components hold.",
        "refuted": "one refuted component refutes the claim.",
        "undecided": "the claim needs all of them.",
    }[word]
    if not said:
        return "Not tested: " + " ".join(missing)
    return f"{text[0].upper()}{text[1:]}; {ending}"


def _notes(parts: tuple[Speed | Transfer, ...]) -> tuple[str, ...]:
    notes = []
    queries = max((len(p.pairs.few.base) for p in parts), default=1)
    if queries > 1:
        notes.append(f"For these {queries} queries: seeds are replicates, queries are not.")
    for part in parts:
        if not isinstance(part, Transfer):
            continue
        low, high = part.difference.interval(0.025)
        if high < 0:
            notes.append(
                "Test Pass@1 is lower with many rollouts than with few (95% interval below 0): there is no "
                "gain, but what the protocol asks for is equivalence."
            )
        if low > 0:
            within = "lies within" if high < part.margin else "is not shown to lie within"
            notes.append(
                "Test Pass@1 is higher with many rollouts than with few (95% interval above 0, "
                f"{_points((low, high))} points): a gain is shown. It {within} the margin of "
                f"{100 * part.margin:.2g} points, which is what the protocol means by no gain."
            )
        if part.gain.estimate <= 0:
            notes.append(
                f"'{part.pairs.few.condition}' changed by {_points((part.gain.estimate,))} points on the "
                f"test set (95% interval {_points(part.gain.interval(0.025))}), so "
                f"{part.claim.margin_share:.0%} of its gain leaves no margin: whatever the difference, this "
                "component could be neither supported nor refuted here."
            )
        elif part.margin < part.claim.margin_points:
            notes.append(
                f"The margin is {part.claim.margin_share:.0%} of an estimated gain and is taken as known: "
                f"the gain's own 95% interval is {_points(part.gain.interval(0.025))} points."
            )
    return tuple(notes)


def _points(ends: tuple[float, ...]) -> str:
    return " to ".join(f"{100 * end:+.2f}".replace("-", "−") for end in ends)


def _placebos(records: Records, group: Group, claim: MoreRollouts) -> tuple[Placebo, ...]:
    found = []
    for world in dict.fromkeys(w for w in (group.train, group.test) if w):
        cells = records.of(world)
        for name in placebo_conditions(records.designs(world)):
            if world == group.train:
                found.append(_reaching(cells[name], claim))
            if world == group.test and cells[name].has_test and cells[name].n > 1:
                found.append(_gaining(cells[name]))
    return tuple(found)


def _reaching(cell: Cell, claim: MoreRollouts) -> Placebo:
    times = hitting_times(cell.rounds, cell.train, claim.pass_at_1, consecutive=claim.consecutive)
    hits = Fraction(int(times.hit.sum()), cell.n)
    return Placebo(
        label=f"Placebo runs that reach train Pass@1 ≥ {claim.pass_at_1:g}",
        condition=cell.condition,
        estimate=hits.estimate,
        interval=hits.interval(0.025),
        n=hits.n,
        sentence=f"With rewards drawn at random {hits.successes} of {hits.n} runs hit the threshold.",
        kind="fraction",
    )


def _gaining(cell: Cell) -> Placebo:
    label = "Placebo's gain in test Pass@1 over the base policy, points"
    return placebos.change(cell, label, "test", cell.test, cell.test_base)
