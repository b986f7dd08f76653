"""Type "fails": under a change runs fail by a horizon, more than without it (A7).

The papers' horizon decides. A multiple of it is read beside: runs that learn by then were slow, not failed.
That the change is to blame can be said only where runs without it learn, that is, get there before their
placebo.
"""

from analysis.claims import placebos
from analysis.claims.cases import Case, Component, absent, findings
from analysis.claims.finding import Finding
from analysis.claims.fractions import share
from analysis.claims.reading import Band, Measured
from analysis.claims.worlds import Kind, few_queries, kinds, trained
from analysis.inference.fractions import Fraction, RiskDifference
from analysis.inference.times import HittingTimes, hitting_times
from analysis.loading.records import Cell, Records
from analysis.verdict import Placebo, Secondary
from banditrft.claims import Fails, contrasts, placebo_conditions

Two = tuple[Cell, Cell]


def find(records: Records, claim: Fails) -> list[Finding]:
    """Judge the claim in every world of one training query."""
    found = []
    for kind in kinds(records):
        cases = [_case(records, kind, world, claim) for world in trained(records, kind)]
        found += findings(claim, cases or [absent(kind, "no world of one training query.")])
    return found


def _case(records: Records, kind: Kind, world: str, claim: Fails) -> Case:
    cells = records.of(world)
    pairs = contrasts(records.designs(world), claim.where, claim.changed)
    if not pairs:
        return Case(kind, world, (), ("no conditions that differ in this alone.",))
    read = [(cells[a], cells[b]) for a, b in pairs]
    last = float(min(c.rounds[-1] for c in read[0]))
    seen = min(int(((c.rounds > 0) & (c.rounds <= last / claim.late)).sum()) for c in read[0])
    if seen < claim.consecutive:
        why = f"fewer than {claim.consecutive} evaluations by the horizon, round {last / claim.late:g}."
        return Case(kind, world, (), (why,))
    plain, changed = read[0]
    early = last / claim.late
    learns = placebos.gate(
        records, "learns", [plain], placebos.sooner(claim.pass_at_1, claim.consecutive, early)
    )
    parts: list[Component] = []
    later: list[Component] = []
    for name, horizon, found in (("early", early, parts), ("late", last, later)):
        found += [failing(name, changed, claim, horizon), more_failing(name, read, claim, horizon)]
    random = [cells[n] for n in placebo_conditions(records.designs(world))]
    placebo = tuple(_placebo(c, claim, h) for c in random for h in (early, last))
    return Case(
        kind,
        world,
        (*parts, *([learns] if learns else [])),
        placebo=(*placebo, *placebos.gains(records, world)),
        notes=(
            *few_queries(read[0]),
            f"The papers' horizon is round {early:g}; ours is round {last:g}, where the runs end.",
        ),
        no_placebo=() if learns else (placebos.needed(plain),),
        stricter=tuple(later),
        late=True,
    )


def failures(cell: Cell, claim: Fails, horizon: float) -> tuple[Fraction, HittingTimes]:
    """Runs without a success by a horizon, and the times behind it."""
    times = hitting_times(
        cell.rounds, cell.train, claim.pass_at_1, consecutive=claim.consecutive, horizon=horizon
    )
    return Fraction(int((~times.hit).sum()), cell.n), times


def failing(name: str, cell: Cell, claim: Fails, horizon: float) -> Measured:
    """Fraction of a condition's runs that fail by a horizon."""
    failed, times = failures(cell, claim, horizon)
    return share(
        f"fail-{name}",
        f"Runs that fail by round {horizon:g}, '{cell.condition}'",
        cell,
        failed,
        claim.fraction,
        sentence=(
            f"A run fails when no {claim.consecutive} consecutive evaluations by round {horizon:g} are at "
            f"or above train Pass@1 {claim.pass_at_1:g}; the fraction gets exact bounds (Clopper-Pearson)."
        ),
        points={
            "query": cell.query.tolist(),
            "seed": cell.seed.tolist(),
            "failed": (~times.hit).tolist(),
        },
        estimand="failures",
    )


def more_failing(name: str, pairs: list[Two], claim: Fails, horizon: float) -> Measured:
    """How much more often runs fail with the change than without it; further pairs stand beside."""
    plain, changed = pairs[0]
    (without, _), (failed, _) = (failures(c, claim, horizon) for c in (plain, changed))
    risk = RiskDifference(failed, without)
    return Measured(
        id=f"risk-{name}",
        label=f"Failures by round {horizon:g}, '{changed.condition}' minus '{plain.condition}'",
        kind="risk",
        world=changed.world.name,
        conditions=(plain.condition, changed.condition),
        test=_Zero(risk),
        band=Band(low=0.0),
        n=min(failed.n, without.n),
        unit="runs per condition",
        sentence=(
            "Boschloo's exact test of two fractions; the bounds are exact too. It takes the two groups as "
            "independent, which common random streams make careful where both fail on the same seeds."
        ),
        detail=lambda _: f"{failed.successes} of {failed.n} against {without.successes} of {without.n} fail.",
        counts={"failed": failed.successes, "failed_without": without.successes},
        secondary=tuple(_beside(a, b, claim, horizon) for a, b in pairs[1:]),
        estimand="failures",
        split="train",
        needs="learns",
    )


def _beside(plain: Cell, changed: Cell, claim: Fails, horizon: float) -> Secondary:
    """The same difference at another step size or optimiser."""
    (without, _), (failed, _) = (failures(c, claim, horizon) for c in (plain, changed))
    risk = RiskDifference(failed, without)
    how = f"{changed.design.optimizer}, step {changed.design.learning_rate:g}"
    label = f"'{changed.condition}' minus '{plain.condition}' ({how})"
    return Secondary(label, risk.estimate, risk.interval(0.025), 0.95, failed.n)


def _placebo(cell: Cell, claim: Fails, horizon: float) -> Placebo:
    return placebos.failing(cell, failures(cell, claim, horizon)[0], horizon)


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
