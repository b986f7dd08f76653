"""How a number reads in the report. Every number of a card carries its full value in a `data` element."""

from typing import Any

from markupsafe import Markup, escape

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


def percent(value: float | None) -> str:
    """A confidence level in percent, without needless digits."""
    return "–" if value is None else f"{100 * value:.4g}%"


def count(value: float | None) -> str:
    """A count."""
    return "–" if value is None else f"{value:,.10g}"


def rounds(value: float | None) -> str:
    """A number of rounds."""
    return UNBOUNDED if value is None else f"{value:+.1f}".replace("-", "−")


FORMATS = {
    "rounds": rounds,
    "ratio": ratio,
    "fraction": fraction,
    "difference": points,
    "p": p_value,
    "percent": percent,
    "count": count,
}


def lookup(document: Any, path: str) -> Any:
    """The value at a path such as ``verdicts/0/parts/1/estimate``."""
    for key in path.split("/"):
        document = document[int(key)] if isinstance(document, list) else document[key]
    return document


class Shown:
    """Renders numbers of one document by their path, so that page and JSON cannot differ."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def __call__(self, path: str, kind: str) -> Markup:
        """The number at `path`, formatted as `kind`."""
        value = lookup(self.document, path)
        full = "" if value is None else repr(value)
        return Markup('<data value="{}" data-path="{}" data-kind="{}">{}</data>').format(
            full, path, kind, escape(FORMATS[kind](value))
        )
