"""What was done and what it takes for granted: methods, assumptions and limits, only those that apply."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.claims.finding import groups
from analysis.claims.worlds import draws_a_world
from analysis.estimands import ESTIMANDS
from analysis.formats import percent
from analysis.inference import times as survival
from analysis.inference.means import ALLOWED
from analysis.loading.records import Records
from analysis.verdict import ALL, Verdict
from banditrft.provenance import versions
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld

PACKAGES = ("python", "banditrft", "numpy", "scipy", "polars")
FIT = (
    "Fits: maximum likelihood of success counts with beta-binomial noise; every seed has its own step, the "
    "intervals are profile likelihoods, the residuals count the noise of evaluation."
)
THERE = (
    "Predictions from a fit: runs drawn with parameters that carry the fit's error, as many as the condition "
    "has; the interval holds 95% of such sets. Nothing of the predicted condition but its settings and its "
    "base is used."
)
SIGNS = (
    "Failure signatures: one test that a signature is there and one that it is not, Holm's procedure over "
    "{looks} looks, a family apart from the verdicts'."
)
BOUNDS = {
    False: "The ends of an interval are one-sided bounds at the stated level each, as the tests are: both "
    "ends at 95% make a two-sided interval of 90%.",
    True: "Intervals of speed-ups are two-sided at the stated level.",
}
"""What the ends of an interval are, by whether it is two-sided."""
SKEWED = (
    "Student's bounds are read at a level lowered so far that they hold for values of skewness up to "
    f"{ALLOWED:g} either way."
)
SUMMED = {
    "area": "Area under the curve",
    "crossing": "Crossing of the mean curve",
    "final": "Interquartile mean",
    "improvement": "Probability of improvement",
}
"""Figures of a condition's summary."""
Paragraph = dict[str, Any]


def methods(document: dict[str, Any]) -> list[Paragraph]:
    """Paragraphs with a title each: `text` is a list of sentences, `used` a list of (what, where).

    Args:
        document: The report so far; verdicts, bands and whatever else was computed.
    """
    found = [_design(document), _tests(document), _multiplicity(document), _times(document)]
    found += [_curves(document), _theory(document), _more(document), _software(document)]
    return [p for p in found if p is not None]


def default(function: Callable[..., Any], name: str) -> int:
    """What a keyword of a function is where no caller sets it."""
    return int(inspect.signature(function).parameters[name].default)


def _paragraph(title: str, text: list[str], items: list[dict[str, str]] | None = None) -> Paragraph:
    return {"title": title, "text": text, "used": items or []}


def _parts(document: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(v, p) for v in document["verdicts"] if v["world"] != ALL for p in v["parts"]]


def _design(document: dict[str, Any]) -> Paragraph:
    origin = document["provenance"]
    said = [f"{origin['runs']:,} runs, root seed {origin['root_seed']}."]
    for world in document["worlds"]:
        counts, rounds = sorted(set(world["conditions"].values())), sorted(set(world["rounds"].values()))
        many = len(world["conditions"])
        said.append(
            f"{world['name']}: {many} condition{'s' * (many > 1)}, {_range(counts)} runs each, "
            f"{_range(rounds)} rounds."
        )
    units = {p["unit"] for _, p in _parts(document)}
    if any(unit.startswith("pairs") for unit in units):
        said.append(
            "Random streams are keyed by seed, query and purpose and not by condition, so runs of two "
            "conditions with the same query and seed are compared as pairs."
        )
    said.append("The unit of replication is the run; the items and samples of an evaluation never are.")
    return _paragraph("Design", said)


def _tests(document: dict[str, Any]) -> Paragraph | None:
    """Each test once, as its components describe it, with the components that used it."""
    used: dict[str, list[str]] = {}
    for verdict, part in _parts(document):
        where = f"{verdict['claim']} {part['label']} ({part['world']}, n = {part['n']})"
        used.setdefault(part["sentence"], []).append(where)
    items = [{"what": sentence, "where": "; ".join(dict.fromkeys(where))} for sentence, where in used.items()]
    return _paragraph("Tests", [], items) if items else None


def _multiplicity(document: dict[str, Any]) -> Paragraph | None:
    judged = [v for v in document["verdicts"] if v["p"] is not None]
    if not judged:
        return None
    alpha, said = percent(document["alpha"]), []
    for secondary, keeps in (
        (False, "Holm's procedure keeps the family-wise error"),
        (True, "Benjamini and Hochberg's procedure keeps the false discovery rate of secondary claims"),
    ):
        own = [v for v in judged if v["secondary"] is secondary]
        if own:
            levels = sorted({v["level"] for v in own})
            span = percent(levels[0]) + (f" to {percent(levels[-1])}" if len(levels) > 1 else "")
            said.append(
                f"{keeps} at {alpha} over {own[0]['family']} tested verdict{'s' * (own[0]['family'] > 1)}; "
                f"each verdict's intervals are read at the error rate that it gives the verdict ({span}), so "
                "that p-value and interval agree."
            )
    if any(len(v["parts"]) > 1 for v in judged):
        said.append(
            "A claim of several components is supported when each of them is at the full error rate "
            "(intersection-union) and refuted when one of them is at that rate divided by their number."
        )
    if any(p["gate"] for _, p in _parts(document)):
        said.append(
            "A component that needs another, such as a gain over the placebo, refutes nothing while that one "
            "is not shown: what learns nothing shows no difference."
        )
    said += _sides([p for _, p in _parts(document)])
    if any(ESTIMANDS[p["kind"]].students for _, p in _parts(document)):
        said.append(SKEWED)
    if any(p["secondary"] for _, p in _parts(document)):
        said.append("Sensitivities carry two-sided 95% intervals that are not adjusted for their number.")
    if any(v["placebo"] for v in judged):
        said.append("What is shown of the placebo beside the components decides nothing and is not adjusted.")
    return _paragraph("Several claims at once", said)


def _sides(parts: list[dict[str, Any]]) -> list[str]:
    """Which intervals are two-sided and which are pairs of bounds."""
    found = {bool(p["two_sided"]): BOUNDS[p["two_sided"]] for p in parts}
    return [found[side] for side in sorted(found)]


def _times(document: dict[str, Any]) -> Paragraph | None:
    own = [p for _, p in _parts(document) if p["kind"] == "ratio"]
    if not own:
        return None
    said = [
        "Kaplan-Meier curves carry the simultaneous Dvoretzky-Kiefer-Wolfowitz band (Massart's constant).",
        "Ratios of times: a hit is spread evenly over the step in which it was seen, and all relabellings of "
        "pairs are counted; nothing is drawn.",
    ]
    if any("bootstrap" in s["label"] for p in own for s in p["secondary"]):
        resamples = default(survival.median_ratio, "resamples")
        said.append(f"Ratios of medians: bootstrap of pairs within queries, {resamples:,} resamples.")
    return _paragraph("Times to a threshold", said)


def _curves(document: dict[str, Any]) -> Paragraph | None:
    banded: dict[str, int] = {}
    for band in document["bands"]:
        how = band["method"] if band["level"] is None else f"{band['method']} ({percent(band['level'])})"
        banded[how] = banded.get(how, 0) + 1
    said = []
    if any(b["level"] is not None for b in document["bands"]):
        said = ["Bands are simultaneous: with their confidence the whole mean curve lies inside."]
    items = [{"what": how, "where": f"{count} curve{'s' * (count > 1)}"} for how, count in banded.items()]
    return _paragraph("Learning curves", said, items) if items else None


def _theory(document: dict[str, Any]) -> Paragraph | None:
    methods = sorted({b["theory"]["method"] for b in document["bands"] if b["theory"]})
    predicted = any(v is not None for v in document["predictions"].values())
    if not methods and not predicted:
        return None
    said = ["Closed forms are computed from the settings of a run and never fitted to it."]
    if methods:
        said.append(f"Curves: {', '.join(methods)}.")
    return _paragraph("Closed forms", said)


def _more(document: dict[str, Any]) -> Paragraph | None:
    """Methods of the sections beside the claims, each with the worlds that it was used in."""
    merged: dict[str, list[str]] = {}
    for summary in document["summaries"]:
        for name in ("area", "crossing", "final", "improvement"):
            if summary[name] is not None:
                merged.setdefault(f"{SUMMED[name]}: {summary[name]['method']}", []).append(summary["world"])
    for key in ("paths", "components"):
        for entry in document[key]:
            merged.setdefault(entry["method"], []).append(entry["world"])
    for key, how in (("fits", FIT), ("transfer", THERE)):
        if document[key]:
            merged[how] = [entry["world"] for entry in document[key]]
    looks = [s["evidence"]["looks"] for s in document["diagnosis"] if "looks" in s["evidence"]]
    if looks:
        merged[SIGNS.format(looks=max(looks))] = [s["world"] for s in document["diagnosis"]]
    used = [{"what": what, "where": "; ".join(dict.fromkeys(where))} for what, where in merged.items()]
    return _paragraph("Further readings", [], used) if used else None


def _software(_: dict[str, Any]) -> Paragraph:
    installed = versions()
    named = ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed)
    return _paragraph("Software", [f"Analysed with {named}."])


def _range(values: list[int]) -> str:
    if not values:
        return "an unknown number of"
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


ALWAYS = (
    "Runs of a condition are independent: their random numbers are keyed by seed and query, and no two runs "
    "of a condition share both."
)


def assumptions(document: dict[str, Any]) -> list[str]:
    """Assumptions behind the verdicts of a report."""
    kinds = dict.fromkeys(p["kind"] for v in document["verdicts"] for p in v["parts"])
    return [ALWAYS, *(ESTIMANDS[kind].assumes for kind in kinds)]


def limits(records: Records, verdicts: list[Verdict]) -> list[str]:
    """Limits of this study, one sentence or two each."""
    found = []
    models = [w for w in records.worlds.values() if isinstance(w, LLMWorld) and records.of(w.name)]
    tiny = [w for w in models if w.model.startswith("tiny-")]
    for world in tiny:
        found.append(
            f"'{world.model}' is a tiny model pretrained from scratch on '{world.task}': its verdicts "
            "are a tiny "
            "model's, no evidence about a pretrained model of billions of parameters. Part of what "
            "such a model "
            f"learns from one query is the answer's format."
        )
    for logs in records.worlds.values():
        if isinstance(logs, ImportedWorld) and records.of(logs.name):
            found += [f"'{logs.name}': {sentence}" for sentence in logs.missing]
            found.append(
                f"'{logs.name}' is imported: its claims are post hoc, its runs are paired by the order in "
                "which they were given, and conditions are compared as if what is unknown were the same. "
                f"Unknown are {', '.join(logs.unknown) or 'no settings'}."
            )
    if any(w.train_items is None for w in models):
        found.append(
            "Statements are for these queries: seeds are replicates, queries were chosen by base "
            "Pass@1 and are few."
        )
    for drawn in records.worlds.values():
        if isinstance(drawn, ContextualWorld) and not draws_a_world(drawn) and records.of(drawn.name):
            shared = f"draw {drawn.draw}" if drawn.features is None else f"'{Path(drawn.features).name}'"
            found.append(
                f"All seeds of '{drawn.name}' share the contexts of {shared}: its intervals are over seeds, "
                "given those contexts."
            )
    steps = sorted({p.counts["step"] for v in verdicts for p in v.parts if p.kind == "ratio"})
    if steps:
        found.append(
            "Hitting times are known to within one evaluation step "
            f"({', '.join(f'{s:g}' for s in steps)} rounds); the "
            "ratio places them at random inside the step, and the same ratio with times rounded up "
            "stands among "
            "the sensitivities."
        )
    if steps:
        found.append(
            "The ratio takes one factor to stretch the whole distribution of times. Where the "
            "conditions also differ "
            "in spread it is an average that leans towards late runs: read the ratio of medians beside it."
        )
    if verdicts:
        found.append(
            "Evaluations are sampled: a run near the threshold may cross it late by chance, which is why "
            "two consecutive "
            "evaluations are asked for and why .95 and .99 are sensitivities only."
        )
    if any(g.kind == "sim" and g.train and g.test for g in groups(records)):
        found.append(
            "The simulated world is two worlds: hitting times and A1 read the lumped bandit, which "
            "has no test set; "
            "the test set belongs to the contextual policy."
        )
    return found
