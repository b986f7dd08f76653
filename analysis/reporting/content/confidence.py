"""What the two ends of a component's interval are: a two-sided interval, or a one-sided bound each."""

from typing import Any

from analysis.formats import percent


def confidence(part: dict[str, Any]) -> str:
    """Confidence of a component's interval as people read it, such as "95% two-sided"."""
    return f"{percent(part['level'])} {'two-sided' if part['two_sided'] else 'one-sided each'}"
