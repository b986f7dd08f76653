"""How a number reads: in sentences, in the report, in summary.md."""

from collections.abc import Callable

UNBOUNDED = "∞"


def ratio(value: float | None) -> str:
    """A ratio with two decimals; None is unbounded."""
    return UNBOUNDED if value is None else f"{value:.2f}"


def fraction(value: float | None) -> str:
    """A fraction of runs with two decimals, a nearly but not quite whole one not rounded up."""
    if value is None:
        return UNBOUNDED
    shown = f"{value:.2f}"
    if shown == "0.00" and value > 0:
        return "< 0.01"
    return "> 0.99" if shown == "1.00" and value < 1 else shown


def points(value: float | None) -> str:
    """A difference of probabilities in points, signed."""
    if value is None:
        return UNBOUNDED
    digits = 2 if abs(value) >= 0.00005 or value == 0 else 3
    return f"{100 * value:+.{digits}f}".replace("-", "−")


def p_value(value: float | None) -> str:
    """A p-value; small ones as a bound."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def pass_rate(value: float | None) -> str:
    """A Pass@1, or a spread of it, with three decimals; None is not known."""
    return "–" if value is None else f"{value:.3f}"


def standardised(value: float | None) -> str:
    """A difference in standard errors, signed."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A confidence level in percent, without needless digits."""
    return "–" if value is None else f"{100 * value:.4g}%"


def count(value: float | None) -> str:
    """A count."""
    return "–" if value is None else f"{value:,.10g}"


def rounds(value: float | None) -> str:
    """A number of rounds."""
    return UNBOUNDED if value is None else f"{value:+.1f}".replace("-", "−")


def position(value: float | None) -> str:
    """A place on a scale, three digits; thousands in full."""
    if value is None:
        return UNBOUNDED
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


Show = Callable[[float | None], str]
NAMED: dict[str, Show] = {
    "rounds": rounds,
    "pass": pass_rate,
    "z": standardised,
    "p": p_value,
    "percent": percent,
    "count": count,
}
"""Formats of numbers that are no estimates; those have theirs in `analysis.estimands`."""
