"""Which estimates stand in one forest plot: the same component in every world, its closed form above it."""

from dataclasses import replace
from typing import Any

from analysis.formats import FORMATS
from analysis.reporting.figures.figure import Figure
from analysis.reporting.figures.forest import Row, plot, strip
from analysis.reporting.figures.scales import LOG, closed, scale
from analysis.reporting.figures.svg import Drawing, short
from analysis.verdict import ALL

TITLES = {
    "speed-adam": ("Speed-up under Adam", "rounds at G = 1 over rounds at G = 4"),
    "speed-sgd": ("Speed-up under SGD", "rounds at G = 1 over rounds at G = 4"),
    "test": ("Change in final test Pass@1", "points, G = 4 minus G = 1"),
    "gain-train": ("Gain in train Pass@1", "points over the base policy"),
    "gain-test": ("Gain in test Pass@1", "points over the base policy"),
    "spread-train": ("Spread of training curves", "SD over seeds / SD of an evaluation"),
    "spread-test": ("Spread of test curves", "SD over seeds / SD of an evaluation"),
    "drawdown-adam": ("Fall after the maximum under Adam", "points, changed minus plain"),
    "drawdown-matched": ("Fall after the maximum under matched SGD", "points, changed minus plain"),
    "falls-adam": ("Fall after the maximum under Adam", "points"),
    "falls-matched": ("Fall after the maximum under matched SGD", "points"),
    "progress-adam": ("Spread at equal progress under Adam", "changed over plain"),
    "progress-matched": ("Spread at equal progress under matched SGD", "changed over plain"),
    "test-curves": ("Spread of test curves", "changed over plain"),
    "no-gain": ("Change in final test Pass@1", "points, changed minus plain"),
    "gains": ("Final test Pass@1 over the placebo", "points"),
    "fall": ("Change of test Pass@1 on hard queries", "points over the base policy"),
    "dose": ("Dose-response", "points per unit of base log-odds"),
    "risk-early": ("Failures by the horizon", "points of runs, changed minus plain"),
    "risk-late": ("Failures by the later horizon", "points of runs, changed minus plain"),
    "flat": ("Slope of test Pass@1", "points over the run"),
    "behind": ("Other worlds' slope minus this one's", "points over the run"),
    "no-better": ("Change in final test Pass@1", "points, changed minus plain"),
    "no-worse": ("Change in final test Pass@1", "points, changed minus plain"),
    "trend": ("Trend of final test Pass@1", "points per doubling"),
    "location": ("Best batch size", "queries per round"),
    "over-few": ("Claimed split against fewest queries", "points of test Pass@1"),
    "over-many": ("Claimed split against most queries", "points of test Pass@1"),
    "share": ("Worlds against designs", "share of the two variances"),
}
"""Component of the ledger -> title and axis of its plot; others are titled by their own label."""
AXES = {
    "fraction": "fraction of runs",
    "ratio": "ratio of times",
    "difference": "points",
    "spread": "ratio of spreads",
    "slope": "points",
    "risk": "points of runs",
    "location": "place",
    "share": "share",
}
"""Kind of estimate -> axis, where the component has none of its own."""
OF_POINTS = {
    "spread-train": (1.0, "mean train Pass@1 over the rounds"),
    "spread-test": (1.0, "mean test Pass@1 over the rounds"),
    "progress-adam": (100.0, "Pass@1, changed minus plain, points"),
    "progress-matched": (100.0, "Pass@1, changed minus plain, points"),
    "test-curves": (100.0, "area, changed minus plain, points"),
    "more-variable": (100.0, "points of Pass@1, second minus first"),
    "location": (100.0, "points, best place minus mean of all"),
    "share": (100.0, "mean gain of a seed, points"),
}
"""Component whose raw points are not what it estimates -> their factor and axis."""
Verdict = dict[str, Any]
Part = dict[str, Any]


def axis(part: Part) -> str:
    """What the axis of a component says."""
    return TITLES.get(part["id"], ("", AXES[part["kind"]]))[1]


def of_points(part: Part) -> tuple[float, str]:
    """Factor and axis of a component's raw points."""
    if part["id"] == "dose" and part["unit"] == "queries":
        return 100.0, "mean change of a query, points"
    return OF_POINTS.get(part["id"], (scale(part["kind"]), axis(part)))


def forests(document: dict[str, Any]) -> list[Figure]:
    """One plot per component of a claim, rows by world; fractions of runs stand in the cards alone."""
    groups: dict[tuple[str, str], list[tuple[Verdict, Part]]] = {}
    for verdict in document["verdicts"]:
        for part in verdict["parts"]:
            if verdict["world"] != ALL and part["kind"] != "fraction":
                groups.setdefault((verdict["claim"], part["id"]), []).append((verdict, part))
    return [_plot(document, claim, own) for (claim, _), own in groups.items()]


def _plot(document: dict[str, Any], claim: str, own: list[tuple[Verdict, Part]]) -> Figure:
    first = own[0][1]
    title = TITLES.get(first["id"], (short(first["label"], 60), ""))[0]
    rows = []
    for verdict, part in own:
        rows += [*_theory(document, claim, part), _measured(verdict, part)]
        rows += _neighbours(document, verdict, part)
    log = first["kind"] in LOG
    return plot(rows, f"{claim}: {title}", axis(first), log=log, scale=scale(first["kind"]))


def _measured(verdict: Verdict, part: Part) -> Row:
    low, high = part["interval"]
    show = FORMATS[part["kind"]]
    value = f"{'–' if part['estimate'] is None else show(part['estimate'])} ({show(low)}, {show(high)})"
    return Row(part["world"], verdict["kind"], part["estimate"], low, high, closed(part), value)


def _neighbours(document: dict[str, Any], verdict: Verdict, part: Part) -> list[Row]:
    """The same reading in another world: shown, not judged."""
    rows = []
    for other in part["secondary"]:
        if other["world"]:
            as_part = {**part, **{k: other[k] for k in ("world", "estimate", "interval")}}
            measured = replace(_measured(verdict, as_part), label=f"{other['world']} (not judged)")
            rows += [*_theory(document, verdict["claim"], as_part), measured]
    return rows


def _theory(document: dict[str, Any], claim: str, part: Part) -> list[Row]:
    found = document["predictions"].get(f"{claim}:{part['world']}:{part['id']}")
    if found is None:
        return []
    band, show = closed(part), FORMATS[part["kind"]]
    label = f"closed form, {part['world']}"
    if not isinstance(found, dict):
        return [Row(label, "theory", found, found, found, band, show(found))]
    low, high = found["low"], found["high"]
    if low == high:
        return [Row(label, "theory", low, low, high, band, show(low))]
    return [Row(label, "theory", None, low, high, band, f"{show(low)} to {show(high)}")]


def card(verdict: Verdict, part: Part) -> Drawing:
    """The small picture of a card: a component's interval against its margin."""
    low, high = part["interval"]
    band = closed(part)
    row = Row(part["label"], verdict["kind"], part["estimate"], low, high, None, "")
    ranges = {"fraction": (0.0, 1.0, 0.5), "ratio": (0.45, 4.4, 1.0), "share": (0.0, 1.0, 0.5)}
    if part["kind"] in ranges:
        return strip(row, band, ranges[part["kind"]], log=part["kind"] == "ratio")
    if part["kind"] in LOG:
        seen = [v for v in (*band, low, high) if v]
        return strip(row, band, (0.8 * min(seen), 1.25 * max(seen), band[0]), log=True)
    reach = 1.6 * max(abs(v) for v in (*band, low or 0.0, high or 0.0, 1e-4))
    return strip(row, band, (-reach, reach, 0.0), log=False)
