"""What counts as a disagreement between claims, worlds and theory: one rule, read and tested by itself.

An undecided verdict contradicts nothing. Worlds disagree where one supports and the other refutes a claim, or
where their intervals for the same component do not meet. A refuted claim disagrees with the paper that makes
it, or with the study that states it. A closed form outside the measured interval disagrees with it.
"""

from collections.abc import Iterator
from typing import Any

from analysis.estimands import ESTIMANDS, Kind
from analysis.reporting.content.model import Disagreement, Document, PartData, VerdictData
from analysis.reporting.wording import confidence
from analysis.results import ALL

NOTHING = "There is no closed form for it here."


def disagreements(document: Document) -> list[Disagreement]:
    """Every disagreement, claim by claim.

    Args:
        document: The report's verdicts, worlds, predictions and expectations.
    """
    by_claim: dict[str, list[VerdictData]] = {}
    for verdict in document["verdicts"]:
        if verdict["world"] != ALL and verdict["parts"]:
            by_claim.setdefault(verdict["claim"], []).append(verdict)
    found: list[Disagreement] = []
    for claim, own in by_claim.items():
        found += _words(document, claim, own)
        found += _sizes(document, claim, own)
        found += _theory(document, claim, own)
        found += _expected(document, claim, own)
    return found


def _words(document: Document, claim: str, own: list[VerdictData]) -> Iterator[Disagreement]:
    yes, no = ([v for v in own if v["verdict"] == word] for word in ("supported", "refuted"))
    if yes and no:
        said = f"{claim} is supported in {_names(yes)} and refuted in {_names(no)}."
        yield _entry("worlds", claim, [*yes, *no], said, _reading(document, [*yes, *no]))
    elif no:
        stated = any(c["own"] for c in document["claims"] if c["id"] == claim)
        against = "the study's own claim" if stated else "the paper"
        where = f"{claim} is refuted in {_names(no)}, against {against}: “{no[0]['statement']}”"
        yield _entry("claim" if stated else "paper", claim, no, where, _reading(document, no))


def _sizes(document: Document, claim: str, own: list[VerdictData]) -> Iterator[Disagreement]:
    """Components whose intervals in a simulated and a language-model world do not meet."""
    for a in own:
        for b in own:
            if (a["kind"], b["kind"]) != ("sim", "llm"):
                continue
            for first in a["parts"]:
                second = next((p for p in b["parts"] if p["id"] == first["id"]), None)
                if second and _apart(first["interval"], second["interval"]):
                    here, there = (f"{_value(p)} in {_where(document, p)}" for p in (first, second))
                    said = f"{claim}, {first['label']}: {here}, {there}; the intervals do not meet."
                    reading = " ".join(_closed(document, claim, p) or "" for p in (first, second)).strip()
                    yield _entry("size", claim, [a, b], said, reading or NOTHING)


def _theory(document: Document, claim: str, own: list[VerdictData]) -> Iterator[Disagreement]:
    for verdict in own:
        for part in verdict["parts"]:
            ends = _predicted(document, claim, part)
            if ends is None or not _apart(ends, part["interval"]):
                continue
            said = (
                f"{claim}, {part['label']}, {part['world']}: measured {_value(part)}, the closed form says "
                f"{_range(ends, part['kind'])}."
            )
            yield _entry("theory", claim, [verdict], said, _closed(document, claim, part) or NOTHING)


def _expected(document: Document, claim: str, own: list[VerdictData]) -> Iterator[Disagreement]:
    """Verdicts that contradict what the study's author wrote down before the runs."""
    words = document.get("expected", {})
    for verdict in own:
        wanted = words.get(f"{claim}/{verdict['world']}", words.get(claim))
        if wanted not in (None, verdict["verdict"]) and verdict["verdict"] != "undecided":
            said = (
                f"{claim} is {verdict['verdict']} in {verdict['world']}; {wanted} was expected when the "
                "study was written."
            )
            yield _entry("expectation", claim, [verdict], said, _reading(document, [verdict]))


def _entry(kind: str, claim: str, verdicts: list[VerdictData], sentence: str, theory: str) -> Disagreement:
    worlds = list(dict.fromkeys(v["world"] for v in verdicts))
    return {"kind": kind, "claim": claim, "worlds": worlds, "sentence": sentence, "theory": theory}


def _reading(document: Document, verdicts: list[VerdictData]) -> str:
    """What the closed forms say about the components of some verdicts."""
    said = dict.fromkeys(_closed(document, v["claim"], p) for v in verdicts for p in v["parts"])
    return " ".join(s for s in said if s) or NOTHING


def _closed(document: Document, claim: str, part: PartData) -> str | None:
    ends = _predicted(document, claim, part)
    if ends is None:
        return None
    low, high = part["band"]
    inside = (low is None or ends[0] >= low) and (high is None or ends[1] <= high)
    outside = (low is not None and ends[1] < low) or (high is not None and ends[0] > high)
    word = "inside" if inside else "outside" if outside else "partly inside"
    return (
        f"Closed form in {part['world']}: {_range(ends, part['kind'])}, {word} what “{part['label']}” is "
        "supported by."
    )


def _predicted(document: Document, claim: str, part: PartData) -> tuple[float, float] | None:
    found = document["predictions"].get(f"{claim}:{part['world']}:{part['id']}")
    if found is None:
        return None
    return (found["low"], found["high"]) if isinstance(found, dict) else (found, found)


def _apart(a: Any, b: Any) -> bool:
    """Whether two intervals have no point in common; None is unbounded."""
    return any(x[1] is not None and y[0] is not None and x[1] < y[0] for x, y in ((a, b), (b, a)))


def _value(part: PartData) -> str:
    of, (low, high) = ESTIMANDS[part["kind"]], part["interval"]
    estimate = "not estimated" if part["estimate"] is None else of.said(part["estimate"])
    return f"{estimate} ({of.show(low)} to {of.show(high)}, {confidence(part)})"


def _where(document: Document, part: PartData) -> str:
    """A component's world, and how long the runs behind it are."""
    known = {w["name"]: w["rounds"] for w in document["worlds"]}.get(part["world"], {})
    rounds = sorted({known[name] for name in part["conditions"] if name in known})
    return f"{part['world']} after {' to '.join(map(str, rounds))} rounds" if rounds else part["world"]


def _range(ends: tuple[float, float], kind: Kind) -> str:
    of, (low, high) = ESTIMANDS[kind], ends
    return of.said(low) if low == high else f"{of.show(low)} to {of.said(high)}"


def _names(verdicts: list[VerdictData]) -> str:
    return ", ".join(dict.fromkeys(v["world"] for v in verdicts))
