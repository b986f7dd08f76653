"""Type "fails": under a change runs fail by a horizon, more than without it (A7).

The papers' horizon decides. A multiple of it is read too: runs that learn by then were slow, not failed.
That the change is to blame can be said only where runs without it learn, that is, get there before their
placebo.
"""

from analysis.claims import placebos
from analysis.claims.cases import Component, Found, Type
from analysis.claims.components import share
from analysis.claims.reading import Band, Measured
from analysis.claims.worlds import Group, Kind, UntestableError, named, trained
from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.times import HittingTimes, hitting_times
from analysis.loading.records import Cell, Records
from analysis.results import Note, Placebo, Secondary, Setting
from banditrft.claims import Fails, contrasts, placebo_conditions

Two = tuple[Cell, Cell]


def read(records: Records, group: Group, claim: Fails) -> Found:
    """Failures by the papers' horizon and by a later one, against those without the change."""
    if claim.own is not None:
        return _named(records, group.world, claim)
    cells, designs = records.of(group.world), records.designs(group.world)
    pairs = [(cells[a], cells[b]) for a, b in contrasts(designs, claim.where, claim.changed)]
    if not pairs:
        raise UntestableError("no pair")
    plain, changed = pairs[0]
    last = float(min(c.rounds[-1] for c in pairs[0]))
    early = last / claim.late
    seen = min(int(((c.rounds > 0) & (c.rounds <= early)).sum()) for c in pairs[0])
    if seen < claim.consecutive:
        raise UntestableError("few evaluations by", fewest=claim.consecutive, horizon=early)
    learns = placebos.gate(
        records, "learns", [plain], placebos.sooner(claim.pass_at_1, claim.consecutive, early)
    )
    parts, later = (
        [failing(f"fail-{name}", changed, claim, at), more_failing(f"risk-{name}", pairs, claim, at)]
        for name, at in (("early", early), ("late", last))
    )
    random = [cells[n] for n in placebo_conditions(designs)]
    return placebos.gated(
        parts,
        learns,
        plain,
        cells=pairs[0],
        placebo=[
            *(_placebo(c, claim, at) for c in random for at in (early, last)),
            *placebos.gains(records, group.world),
        ],
        notes=[Note("horizons", {"early": early, "last": last})],
        stricter=later,
        late=True,
    )


def _named(records: Records, world: str, claim: Fails) -> Found:
    """Failures of the condition that a table names, by its horizon, and against those of a second one."""
    cell, *others = (named(records, world, w) for w in (claim.own.conditions if claim.own else ()))
    last = min(float(c.rounds[-1]) for c in (cell, *others))
    horizon = last if claim.horizon is None else min(last, float(claim.horizon))
    parts: list[Component] = [failing("fail-fails", cell, claim, horizon)]
    placebo = placebos.gains(records, world)
    if not others:
        return Found(parts, [cell], placebo=placebo)
    parts.append(more_failing("risk-fails", [(others[0], cell)], claim, horizon))
    sooner = placebos.sooner(claim.pass_at_1, claim.consecutive, horizon)
    learns = placebos.gate(records, "learns", others, sooner)
    return placebos.gated(parts, learns, others[0], cells=[cell, *others], placebo=placebo)


def failures(cell: Cell, claim: Fails, horizon: float) -> tuple[Fraction, HittingTimes]:
    """Runs without a success by a horizon, and the times behind it."""
    times = hitting_times(
        cell.rounds, cell.train, claim.pass_at_1, consecutive=claim.consecutive, horizon=horizon
    )
    return Fraction(int((~times.hit).sum()), cell.n), times


def failing(part_id: str, cell: Cell, claim: Fails, horizon: float) -> Measured:
    """Fraction of a condition's runs that fail by a horizon."""
    failed, times = failures(cell, claim, horizon)
    return share(
        part_id,
        cell,
        failed,
        claim.fraction,
        setting=_setting(claim, horizon),
        points={
            "query": cell.query.tolist(),
            "seed": cell.seed.tolist(),
            "failed": (~times.hit).tolist(),
        },
        estimand="failures",
    )


def more_failing(part_id: str, pairs: list[Two], claim: Fails, horizon: float) -> Measured:
    """How much more often runs fail with the change than without it; further pairs are secondary."""
    plain, changed = pairs[0]
    (without, _), (failed, _) = (failures(c, claim, horizon) for c in (plain, changed))
    risk = RiskDifference(failed, without)
    return Measured(
        id=part_id,
        kind="risk",
        world=changed.world.name,
        conditions=(plain.condition, changed.condition),
        test=_Zero(risk),
        band=Band(low=0.0),
        n=min(failed.n, without.n),
        units="runs per condition",
        counts={"failed": failed.successes, "failed_without": without.successes},
        secondary=tuple(_contrast(a, b, claim, horizon) for a, b in pairs[1:]),
        estimand="failures",
        split="train",
        needs="learns",
        setting=_setting(claim, horizon),
        facts={"runs": [failed.n, without.n]},
    )


def _setting(claim: Fails, horizon: float) -> Setting:
    return Setting(threshold=claim.pass_at_1, consecutive=claim.consecutive, horizon=horizon)


def _contrast(plain: Cell, changed: Cell, claim: Fails, horizon: float) -> Secondary:
    """The same difference at another step size or optimiser."""
    (without, _), (failed, _) = (failures(c, claim, horizon) for c in (plain, changed))
    risk, design = RiskDifference(failed, without), changed.design
    conditions = {"first": plain.condition, "second": changed.condition}
    how = {"optimizer": design.optimizer, "step": design.learning_rate}
    return Secondary(
        "contrast at", risk.estimate, risk.interval(0.025), 0.95, failed.n, values=conditions | how
    )


def _placebo(cell: Cell, claim: Fails, horizon: float) -> Placebo:
    failed, _ = failures(cell, claim, horizon)
    return placebos.fraction("failures", cell, failed, _setting(claim, horizon))


class _Zero:
    """A risk difference as a test of the value 0, the only one a claim reads."""

    def __init__(self, risk: RiskDifference) -> None:
        self.risk = risk

    @property
    def estimate(self) -> float:
        return self.risk.estimate

    def p_above(self, _: float) -> float:
        return self.risk.p_above

    def p_below(self, _: float) -> float:
        return self.risk.p_below

    def interval(self, alpha: float) -> tuple[float, float]:
        return self.risk.interval(alpha)


def _groups(records: Records, kind: Kind, _: Fails) -> list[Group]:
    return [Group(kind, w, w, w) for w in trained(records, kind)]


TYPES = (Type(Fails, read, _groups, "no one query"),)
