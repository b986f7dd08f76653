"""Numbers of a card, each in a `data` element with its full value."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from analysis.formats import FORMATS


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
        """The number at `path`, formatted as `kind`; an estimate that is not there is a dash."""
        value = lookup(self.document, path)
        full = "" if value is None else repr(value)
        shown = estimated(value, FORMATS[kind]) if path.endswith("/estimate") else FORMATS[kind](value)
        return Markup('<data value="{}" data-path="{}" data-kind="{}">{}</data>').format(
            full, path, kind, escape(shown)
        )


def estimated(value: float | None, form: Callable[[float | None], str]) -> str:
    """An estimate, which unlike the end of an interval is not unbounded where there is none."""
    return "–" if value is None else form(value)
