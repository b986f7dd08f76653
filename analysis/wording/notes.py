"""The words of limits and of what could not be measured, and the summary of a verdict."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from analysis.estimands import ESTIMANDS
from analysis.formats import points
from analysis.results import Note, Part, together
from analysis.wording.parts import label, optimizer

NOTES: dict[str, str] = {
    # limits
    "few queries": "For these {queries} queries: seeds are replicates, queries are not",
    "own queries": "In '{world}' every seed draws its own training queries: its spread includes theirs",
    "post hoc": "Post hoc: {late} of {runs} runs were made before this claim was registered",
    "samples": "The final evaluation used {used} samples, the protocol says {asked}",
    "at the threshold": "{runs} more runs end at or above {threshold:g} without a bound above it",
    "horizons": "The papers' horizon is round {early:g}; ours is round {last:g}, where the runs end",
    "lower": "Test Pass@1 is lower with many rollouts than with few (95% interval below 0): there is no "
    "gain, but what the protocol asks for is equivalence",
    # what is missing
    "refused": "{why}",
    "no world": "no world of the study is one that the claim reads",
    "no test world": "no world with a test set that the claim is about",
    "no pool": "no world with a pool of training queries and a test set",
    "no shared conditions": "no two worlds with a pool of training queries and a test set that share two "
    "conditions",
    "no single query": "no world with a single training query",
    "no one query": "no world of one training query",
    "no two worlds": "no two worlds with such a condition and a test set",
    "no tested condition": "no such condition with a test set",
    "no tested runs": "no such condition with a test set and two runs",
    "no pair": "no conditions that differ in this alone",
    "no tested pair": "no conditions that differ in this alone, with a test set",
    "no minimal condition": "no condition with one query, one rollout, the raw {{0, 1}} reward and Adam",
    "no lumped world": "no lumped world, which A1 reads",
    "no test comparison": "The test set is not compared: no such conditions with a test set and two runs "
    "each",
    "no base": "train Pass@1 of the base policy is not recorded",
    "few evaluations by": "fewer than {fewest} evaluations by the horizon, round {horizon:g}",
    "no hard query": "no query of base Pass@1 below {below:g}",
    "no dose": "no dose-response: fewer than {fewest} levels of base Pass@1",
    "no curve": "no such condition with three runs of one query",
    "no test curve": "no such condition with {fewest} test evaluations during training",
    "own world": "in '{world}' every seed draws its own world, so its spread over seeds is not one within "
    "a query; the setting 'draw' gives all seeds one",
    "no ladder": "no {fewest} conditions with a test set that differ in {field} alone",
    "no splits": "no {fewest} splits of {budget} rollouts around {size} queries, tested",
    "few seeds": "fewer than {fewest} seeds shared by all conditions and worlds",
    "no records": "no records of {worlds}",
    "no conditions": "no such conditions",
    "few evaluations": "fewer than {fewest} evaluations",
    "few test evaluations": "fewer than {fewest} test evaluations during training",
    "few pairs": "fewer than {fewest} pairs on such queries",
    "no crossing": "the mean curve of '{condition}' does not cross {level:g}",
    "no condition": "no condition {wanted} in '{world}'",
    "no training curve": "no training curve of '{condition}' in '{world}'",
    "one condition": "a and b are one condition, '{condition}', in '{world}'",
    "no test set": "'{world}' has no test set",
    "no base evaluation": "no evaluation of the base policy on the training queries in '{world}'",
    "few rungs": "fewer than {fewest} of its conditions in '{world}'",
    "few runs": "fewer than {fewest} runs in common",
    # what is missing for want of a placebo
    "no slope placebo": "The slopes are not read against placebos: no kind has test curves in every one of "
    "these worlds",
    "no dose placebo": "The dose-response is not read against a placebo: no kind has all of its runs",
    "unread train": "'{placebo}' in '{world}' has no train Pass@1 to compare with",
    "unread lenient": "'{placebo}' in '{world}' has no lenient grade to compare with",
}
"""Sentence by name, without its full stop; what it names are the note's values."""
SENSES = {"drawdown": "Falls", "level": "Spread at equal progress", "area": "Spread of the test curve"}
SIDES = {"inside": "lies inside", "beyond": "lies beyond", "open": "is on neither side of"}
"""Where the 95% interval of a slope lies."""


def note(of: Note) -> str:
    """The sentence of a note."""
    return f"{_said(of.name, of.values)}."


def summary(parts: Sequence[Part], missing: Sequence[Note], *, whole: bool) -> str:
    """A verdict in one sentence: its components with their words, or the words by world.

    Args:
        parts: Components.
        missing: Why others could not be measured.
        whole: Whether it sums up several worlds.
    """
    if whole:
        return _over_worlds(parts)
    if not parts:
        return "Not tested: " + " ".join(note(n) for n in missing)
    return "; ".join(f"{label(p)}: {_value(p)} ({p.verdict})" for p in parts) + "."


def _value(part: Part) -> str:
    return "cannot be estimated" if part.estimate is None else ESTIMANDS[part.kind].said(part.estimate)


def _over_worlds(parts: Sequence[Part]) -> str:
    order = list(dict.fromkeys(p.world for p in parts))
    ordered = sorted(parts, key=lambda p: order.index(p.world))
    words = {world: together(list(own)) for world, own in groupby(ordered, key=lambda p: p.world)}
    said = "; ".join(
        f"{word} in {', '.join(names)}"
        for word in ("supported", "refuted", "undecided")
        if (names := [w for w, found in words.items() if found == word])
    )
    return f"{said[:1].upper()}{said[1:]}."


def _said(name: str, values: dict[str, Any]) -> str:
    own = dict(values)
    where = own.pop("in_world", None)
    said = SPOKEN[name](**own) if name in SPOKEN else NOTES[name].format(**own)
    return said if where is None else f"{where}: {said}"


def _needed(condition: str, world: str, optimizer: str | None) -> str:
    under = "" if optimizer is None or optimizer == "adam" else f" and optimizer = '{optimizer}'"
    return (
        f"'{condition}' in '{world}' is not read against a placebo, for there is none: add a condition with "
        f"reward = 'random'{under}"
    )


def _by_query(queries: list[dict[str, Any]]) -> str:
    said = []
    for q in queries:
        where = "" if q["ends"] is None else " (the others end at {:.2f} to {:.2f})".format(*q["ends"])
        said.append(f"query {q['query']} {q['reached']} of {q['runs']}{where}")
    return f"Runs that exceed it, by query: {', '.join(said)}"


def _several(of: list[dict[str, Any]]) -> str:
    return ". ".join(_said(item["name"], item["values"]) for item in of)


def _not_tested(quantity: str, optimizer: str | None, matched: bool, why: dict[str, Any]) -> str:
    under = f" under {_title(optimizer, matched=matched)}" if optimizer else ""
    return f"{SENSES[quantity]}{under}: not tested, {_said(why['name'], why['values'])}"


def _title(name: str, *, matched: bool = False) -> str:
    return optimizer(name, matched=matched)


def _no_speed(optimizer: str, few: int, many: int) -> str:
    return (
        f"Speed under {_title(optimizer)} is not tested: no conditions differ only in {few} and {many} "
        "rollouts"
    )


def _own_margin(margin: float, share: float, condition: str, strict: float) -> str:
    return (
        f"The margin is the claim's own, {100 * margin:g} points; {share:.0%} of what '{condition}' gains "
        f"would be {100 * strict:.2g}"
    )


def _higher(low: float, high: float, margin: float) -> str:
    within = "lies within" if high < margin else "is not shown to lie within"
    return (
        f"Test Pass@1 is higher with many rollouts than with few (95% interval above 0, {points(low)} to "
        f"{points(high)} points): a gain is shown. It {within} the margin of {100 * margin:.2g} points, "
        "which is what the protocol means by no gain"
    )


def _no_margin(condition: str, change: float, low: float, high: float, share: float) -> str:
    return (
        f"'{condition}' changed by {points(change)} points on the test set (95% interval {points(low)} to "
        f"{points(high)}), so {share:.0%} of its gain leaves no margin: whatever the difference, this "
        "component could be neither supported nor refuted here"
    )


def _margin_estimated(share: float, low: float, high: float) -> str:
    return (
        f"The margin is {share:.0%} of an estimated gain and is taken as known: the gain's own 95% interval "
        f"is {points(low)} to {points(high)} points"
    )


def _half(
    first: float,
    last: float,
    whole: str,
    start: float,
    end: float,
    change: list[float],
    side: str,
    margin: float,
) -> str:
    estimate, low, high = map(points, change)
    return (
        f"The slope from {first:g} to {last:g} {SIDES[whole]} the margin, but from {start:g} to {end:g} the "
        f"change per three doublings is {estimate} points (95% interval {low} to {high}, unadjusted), {side} "
        f"the margin of {100 * margin:.3g}"
    )


SPOKEN: dict[str, Callable[..., str]] = {
    "needed": _needed,
    "by query": _by_query,
    "several": _several,
    "not tested": _not_tested,
    "no speed": _no_speed,
    "own margin": _own_margin,
    "higher": _higher,
    "no margin": _no_margin,
    "margin estimated": _margin_estimated,
    "half": _half,
}
"""Notes whose sentence is more than a template."""
