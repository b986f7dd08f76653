"""What is said of the place of an optimum: how it was read and why, and which values may be best."""

from collections.abc import Sequence

from analysis.estimands import FORMATS
from analysis.inference.ladder import SLACK, Misfit, Place

CURVE = "maximum of a quadratic alone (Fieller)"
RUNGS = "best value tried alone, with the span of those not shown to be worse than another"
SET = (
    "a value tried is left out where another one is shown to be better (one-sided paired t tests over seeds, "
    "Bonferroni over the others), and the interval spans those that are left"
)


def sentence(found: Place, field: str, conditions: int) -> str:
    """The reading that the verdict takes, and why."""
    if found.bent:
        return (
            f"The best of {conditions} values of {field}, without a curve: {SET}. A quadratic's maximum is "
            "not read, since Hotelling's test of the seeds' contrasts beyond a quadratic rejects its fit at "
            "1%."
        )
    fit = "does not reject a quadratic at 1%" if found.fit.tested else "could not be made"
    return (
        f"A quadratic in log2 of {field} through {conditions} conditions, seed by seed; the interval holds "
        "the places where the mean slope over seeds is not told from 0 (Fieller). Hotelling's test of the "
        f"seeds' contrasts beyond it {fit}, which does not show that it fits: the interval is widened to "
        f"what holds without a curve, where {SET}."
    )


def detail(
    found: Place,
    names: Sequence[str],
    steps: Sequence[float],
    band: tuple[float, float],
    gap: float,
    level: float,
) -> str:
    """What the place rests on, at the level that the verdict gets.

    Args:
        found: Both readings.
        names: C conditions.
        steps: Their values.
        band: Log2 of the ends that the claim allows.
        gap: Mean of the best condition minus that of the claimed one, in probability.
        level: Error rate.
    """
    best = int(found.rungs.x_C.searchsorted(found.rungs.estimate))
    said = [
        f"Lack of fit of the quadratic: {fit(found.fit)}.",
        f"The best cell seen is '{names[best]}', {100 * gap:.2g} points above the claimed one.",
        _rivals(found, names, best, level),
        _width(found, steps, level),
    ]
    edges = found.read.interval(level)
    if found.bent and any(abs(e - b) < SLACK for e, b in zip(edges, band, strict=True)):
        said.append("An end of the interval is the margin's own end, which counts as inside.")
    if found.bent and (band[0] <= found.rungs.x_C).all() and (found.rungs.x_C <= band[1]).all():
        said.append("Every value tried lies inside the margin: this part cannot fail.")
    return " ".join(said)


def fit(of: Misfit) -> str:
    """A test of fit in words."""
    if not of.tested:
        return "not tested, for want of runs" if of.of else "not tested, for it fits whatever the values are"
    only = f", of the first {of.df[0]} of {of.of} contrasts only" if not of.whole else ""
    p = FORMATS["p"](of.p)
    return f"F({of.df[0]}, {of.df[1]}) = {of.f:.3g}, p {p if p.startswith('<') else f'= {p}'}{only}"


def _rivals(found: Place, names: Sequence[str], best: int, level: float) -> str:
    """Which values may be best, the neighbours of the best one seen by name."""
    may = found.rungs.members(level)
    if may.sum() == 1:
        return "It is shown to be better than every other value tried, its neighbours among them."
    near = [i for i in (best - 1, best + 1) if 0 <= i < len(names)]
    parts = [
        f"{_listed([names[i] for i in near if may[i] == kept])} {how}"
        for kept, how in ((True, "may be better"), (False, "is shown not to be the best"))
        if any(may[i] == kept for i in near)
    ]
    left = (
        "any value tried" if may.all() else _listed([n for n, kept in zip(names, may, strict=True) if kept])
    )
    return f"Beside it {', '.join(parts)}; the best may be {left}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{n}'" for n in names)


def _width(found: Place, steps: Sequence[float], level: float) -> str:
    low, high = found.read.interval(level)
    x = found.rungs.x_C
    if low <= x[0] and high >= x[-1]:
        return "The interval is the whole ladder: no estimate, for the curve is flat or its top unknown."
    if not found.bent:
        return f"The bounds are {min(high, x[-1]) - max(low, x[0]):.2g} doublings apart."
    first, last = int(x.searchsorted(low)), int(x.searchsorted(high))
    return (
        f"On a curve with one maximum the best place lies between {steps[max(first - 1, 0)]:g} and "
        f"{steps[min(last + 1, len(steps) - 1)]:g}."
    )
