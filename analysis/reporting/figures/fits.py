"""Figures of the fitted bandit, drawn from its results: gains, profiles, residuals, predictions."""

from typing import Any

from analysis.fits.bandit import BanditFit, ConditionFit
from analysis.fits.unseen import NAMES, PredictedCurve, UnseenConditions
from analysis.formats import position
from analysis.reporting.figures.forest import DECADES, Row, plot
from analysis.reporting.figures.svg import Figure, Frame, dots, drawing, line, rect, slug, text, ticks

WIDTH, HEIGHT = 360, 220
LIMITS = (1e-12, 1e12)
TWO_SIDED = 1.96
"""Standard errors that 95% of residuals stay within where the model holds."""


def gains(fit: BanditFit, kind: str) -> Figure | None:
    """Gain of a typical query of every condition, and what the settings of a simulated world imply."""
    rows = []
    for own in fit.conditions:
        if own.known_gain is not None:
            known = own.known_gain
            rows.append(
                Row(f"implied, {own.condition}", "theory", known, known, known, None, position(known))
            )
        if own.gain is not None:
            low, high = own.gain.low, own.gain.high
            value = f"{position(own.gain.median)} ({position(low)}, {position(high)})"
            rows.append(Row(own.condition, kind, own.gain.median, low, high, None, value))
    if not any(row.source == kind for row in rows):
        return None
    title = f"Fitted gain in {fit.world}"
    return plot(rows, title, "log-odds per unit of signal and learning rate", log=True, limits=LIMITS)


def profiles(world: str, found: list[dict[str, Any]]) -> list[Figure]:
    """Profile deviance of the gain of each query, a panel per condition."""
    return [
        _profile(world, name, [p for p in found if p["condition"] == name])
        for name in dict.fromkeys(p["condition"] for p in found)
    ]


def _profile(world: str, condition: str, own: list[dict[str, Any]]) -> Figure:
    gains = [g for p in own for g in p["gain"]]
    top = 2.5 * max(p["cutoff"] for p in own)
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 84, (min(gains), max(gains)), (0.0, top), log_x=True)
    marks = [m for m in DECADES if min(gains) <= m <= max(gains)]
    parts = [
        text(10, 15, condition, "name"),
        text(WIDTH - 14, 15, "deviance", "tick end"),
        frame.axes(marks[:: 1 + len(marks) // 6], ticks(0.0, top, 4), "gain"),
    ]
    for p in own:
        y = frame.at_y(p["cutoff"])
        shown = [(g, d) for g, d in zip(p["gain"], p["deviance"], strict=True) if d <= top]
        parts.append(line(frame.left, y, frame.right, y, "threshold"))
        parts.append(frame.polyline([g for g, _ in shown], [d for _, d in shown], "mean thin few"))
    caption = f"Profile likelihood of the gain, {condition} in {world}"
    title = f"{caption}: deviance by query ({len(own)}), dotted where intervals end."
    return Figure(
        slug("profile", world, condition),
        caption,
        drawing(WIDTH, HEIGHT, title, parts),
        ("query", "gain", "deviance", "cutoff"),
        [(p["query"], g, d, p["cutoff"]) for p in own for g, d in zip(p["gain"], p["deviance"], strict=True)],
    )


def residuals(world: str, fit: ConditionFit) -> Figure:
    """Observed minus fitted right answers, in standard errors, against rounds."""
    rounds, zs = [r.round for r in fit.residuals], [r.z for r in fit.residuals]
    reach = max(3.0, *(abs(z) for z in zs)) * 1.05
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 84, (0.0, max(rounds)), (-reach, reach))
    high, low = frame.at_y(TWO_SIDED), frame.at_y(-TWO_SIDED)
    parts = [
        text(10, 15, fit.condition, "name"),
        text(WIDTH - 14, 15, f"mean square {fit.misfit:.2g}", "tick end"),
        rect(frame.left, high, frame.width, low - high, "margin"),
        frame.axes(ticks(0, max(rounds), 4), ticks(-reach, reach, 4), "round"),
        line(frame.left, frame.at_y(0.0), frame.right, frame.at_y(0.0), "null"),
        dots([(frame.at_x(r), frame.at_y(z)) for r, z in zip(rounds, zs, strict=True)], "dots solid few"),
    ]
    outside = sum(abs(z) > TWO_SIDED for z in zs)
    caption = f"Residuals of {fit.condition} in {world}, standard errors"
    title = f"{caption}: {outside} of {len(zs)} beyond {TWO_SIDED:g}, mean square {fit.misfit:.2g}."
    return Figure(
        slug("residuals", world, fit.condition),
        caption,
        drawing(WIDTH, HEIGHT, title, parts),
        ("round", "observed", "fitted", "z"),
        [(r.round, r.observed, r.fitted, r.z) for r in fit.residuals],
    )


def predictions(test: UnseenConditions, kind: str) -> list[Figure]:
    """Per quantity: what was predicted, with its interval, above what was observed."""
    found = []
    for quantity, name in NAMES.items():
        rows = []
        for r in (r for r in test.rows if r.quantity == quantity and r.predicted is not None):
            where = r.condition if r.world == test.world else f"{r.condition}, {r.world}"
            value = f"{position(r.predicted)} ({position(r.low)}, {position(r.high)})"
            rows += [
                Row(f"predicted, {where}", "theory", r.predicted, r.low, r.high, None, value),
                Row(where, kind, r.observed, r.observed, r.observed, None, position(r.observed)),
            ]
        if rows:
            found.append(plot(rows, f"{name[0].upper()}{name[1:]}, {test.world}", name, log=False))
    return found


def forecast(curve: PredictedCurve) -> Figure:
    """A mean curve predicted from another condition's fit, its band, and the observed mean."""
    last = max(curve.rounds)
    frame = Frame(44, 34, WIDTH - 58, HEIGHT - 74, (0.0, last))
    word = "inside" if curve.inside else "leaves the band"
    caption = f"{curve.condition} in {curve.world}, predicted"
    parts = [
        text(10, 15, curve.condition, "name"),
        text(WIDTH - 14, 15, word, "tick end"),
        frame.axes(ticks(0, last, 4), (0, 0.5, 1), "round"),
        frame.ribbon(curve.rounds, curve.low, curve.high, "band theory"),
        frame.polyline(curve.rounds, curve.observed, "mean many"),
        frame.polyline(curve.rounds, curve.predicted, "forecast"),
    ]
    title = (
        f"{caption}: predicted to end at {curve.predicted[-1]:.2f} ({curve.low[-1]:.2f} to "
        f"{curve.high[-1]:.2f}), observed {curve.observed[-1]:.2f}; the observed mean {word}."
    )
    rows = zip(curve.rounds, curve.predicted, curve.low, curve.high, curve.observed, strict=True)
    return Figure(
        slug("predicted", curve.world, curve.condition),
        caption,
        drawing(WIDTH, HEIGHT, title, parts),
        ("round", "predicted", "low", "high", "observed"),
        list(rows),
    )
