"""A5: four rollouts converge in half the rounds under Adam, hardly faster under SGD, with no test gain.

A speed-up counts where the faster condition reaches the threshold before its placebo; that SGD gains hardly
anything counts where one of its conditions does; that the test set gains nothing counts where one condition
ends above its placebo there. What learns nothing cannot show that it learns no better.
"""

from analysis.claims import placebos, speed, transfer
from analysis.claims.cases import Case, Component, finding
from analysis.claims.finding import Finding, Group
from analysis.claims.pairs import Pairs, match
from analysis.claims.transfer import Transfer
from analysis.claims.worlds import few_queries
from analysis.inference.fractions import Fraction
from analysis.inference.times import hitting_times
from analysis.loading.records import Cell, Records
from analysis.verdict import Placebo
from banditrft.claims import MoreRollouts, placebo_conditions, rollout_pairs


def find(records: Records, group: Group, claim: MoreRollouts) -> Finding:
    """Judge A5 in one group of worlds."""
    few, many = claim.rollouts
    parts: list[Component] = []
    missing: list[str] = []
    no_placebo: list[str] = []
    read: list[Cell] = []
    sooner = placebos.sooner(claim.pass_at_1, claim.consecutive)
    for optimizer, title, band in (("adam", "Adam", claim.speed_band), ("sgd", "SGD", claim.sgd_band)):
        pairs = _pairs(records, group.train, claim, optimizer)
        if pairs is None:
            missing.append(
                f"Speed under {title} is not tested: no conditions differ only in {few} and {many} rollouts."
            )
            continue
        near = _pairs(records, group.test, claim, optimizer) if group.test != group.train else None
        neighbours = [(f"the world '{near.few.world.name}'", near)] if near else []
        label = f"Rounds to train Pass@1 ≥ {claim.pass_at_1:g}, G = {few} over G = {many}, {title}"
        needs = f"learns-{optimizer}"
        parts.append(speed.measure(f"speed-{optimizer}", label, pairs, band, claim, neighbours, needs))
        arms = [pairs.many] if optimizer == "adam" else [pairs.few, pairs.many]
        learns = placebos.gate(records, needs, arms, sooner)
        parts += [learns] if learns else []
        no_placebo += [] if learns else [placebos.needed(pairs.many)]
        read += [pairs.few, pairs.many]
    pairs = _pairs(records, group.test, claim, "adam")
    tested: Transfer | None = None
    if pairs is None or not (pairs.few.has_test and pairs.many.has_test) or pairs.n < 2:
        missing.append("The test set is not compared: no such conditions with a test set and two runs each.")
    else:
        sgd = _pairs(records, group.test, claim, "sgd")
        neighbours = [("SGD", sgd)] if sgd and sgd.few.has_test and sgd.many.has_test else []
        label = f"Final test Pass@1, G = {many} minus G = {few}, Adam"
        tested = transfer.measure(label, pairs, claim, neighbours)
        gains = placebos.gains_gate(records, [pairs.few, pairs.many], "test")
        parts += [tested, *([gains] if gains else [])]
        no_placebo += [] if gains else [placebos.needed(pairs.many)]
        read += [pairs.few, pairs.many]
    case = Case(
        group.kind,
        group.name,
        tuple(parts),
        tuple(missing),
        _placebos(records, group, claim),
        (*few_queries(read), *(transfer.notes(tested) if tested else ())),
        tuple(dict.fromkeys(no_placebo)),
    )
    return finding(claim, case)


def _pairs(records: Records, world: str | None, claim: MoreRollouts, optimizer: str) -> Pairs | None:
    if world is None:
        return None
    found = rollout_pairs(records.designs(world), claim.rollouts, optimizer)
    cells = records.of(world)
    return match(cells[found[0][0]], cells[found[0][1]]) if found else None


def _placebos(records: Records, group: Group, claim: MoreRollouts) -> tuple[Placebo, ...]:
    found = []
    for world in dict.fromkeys(w for w in (group.train, group.test) if w):
        cells = records.of(world)
        if world == group.train:
            found += [_reaching(cells[n], claim) for n in placebo_conditions(records.designs(world))]
    return (*found, *placebos.gains(records, group.test))


def _reaching(cell: Cell, claim: MoreRollouts) -> Placebo:
    times = hitting_times(cell.rounds, cell.train, claim.pass_at_1, consecutive=claim.consecutive)
    hits = Fraction(int(times.hit.sum()), cell.n)
    return Placebo(
        label=f"Placebo runs that reach train Pass@1 ≥ {claim.pass_at_1:g}",
        condition=cell.condition,
        estimate=hits.estimate,
        interval=hits.interval(0.025),
        n=hits.n,
        sentence=f"Without information in the reward {hits.successes} of {hits.n} runs hit the threshold.",
        kind="fraction",
    )
