"""Prose of the report made from its data: methods, assumptions and limits, only those that apply."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.claims.worlds import draws_a_world
from analysis.estimands import ESTIMANDS
from analysis.formats import percent
from analysis.inference import times as survival
from analysis.inference.means import ALLOWED
from analysis.loading.records import Records
from analysis.reporting.content.model import Document, Paragraph, PartData, Used, VerdictData
from analysis.results import ALL, Part
from analysis.verdict import Verdict
from banditrft.provenance import versions
from banditrft.worlds import ContextualWorld, ImportedWorld, LLMWorld

PACKAGES = ("python", "banditrft", "numpy", "scipy", "polars")
FIT = (
    "Fits: maximum likelihood of success counts with beta-binomial noise; every seed has its own step, the "
    "intervals are profile likelihoods, the residuals count the noise of evaluation."
)
THERE = (
    "Predictions from a fit: runs drawn with parameters that carry the fit's error, as many as the "
    "condition has; the interval holds 95% of such sets. Nothing of the predicted condition but its "
    "settings and its base is used."
)
SIGNS = (
    "Failure signatures: one test that a signature is there and one that it is not, Holm's procedure over "
    "{tests} tests, a family apart from the verdicts'."
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
RUN_HERE = (
    "Runs of a condition are independent: their random numbers are keyed by seed and query, and no two runs "
    "of a condition share both."
)
IMPORTED = "Imported runs of a condition are taken as independent: their logs cannot show it."


def methods(document: Document) -> list[Paragraph]:
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


def _paragraph(title: str, text: list[str], items: list[Used] | None = None) -> Paragraph:
    return {"title": title, "text": text, "used": items or []}


def _parts(document: Document) -> list[tuple[VerdictData, PartData]]:
    return [(v, p) for v in document["verdicts"] if v["world"] != ALL for p in v["parts"]]


def _design(document: Document) -> Paragraph:
    origin = document["provenance"]
    said = [f"{origin['runs']:,} runs, root seed {origin['root_seed']}."]
    for world in document["worlds"]:
        counts, rounds = sorted(set(world["conditions"].values())), sorted(set(world["rounds"].values()))
        many = len(world["conditions"])
        said.append(
            f"{world['name']}: {many} condition{'s' * (many > 1)}, {_range(counts)} runs each, "
            f"{_range(rounds)} rounds."
        )
    if any(p["units"] == "pairs" for _, p in _parts(document)):
        if any(not world["imported"] for world in document["worlds"]):
            said.append(
                "Random streams are keyed by seed, query and purpose and not by condition, so runs of two "
                "conditions with the same query and seed are compared as pairs."
            )
        if any(world["imported"] for world in document["worlds"]):
            said.append("Imported runs are paired by the order in which they were given.")
    said.append("The unit of replication is the run; the items and samples of an evaluation never are.")
    return _paragraph("Design", said)


def _tests(document: Document) -> Paragraph | None:
    """Each test once, as its components describe it, with the components that used it."""
    used: dict[str, list[str]] = {}
    for verdict, part in _parts(document):
        where = f"{verdict['claim']} {part['label']} ({part['world']}, n = {part['n']})"
        used.setdefault(part["sentence"], []).append(where)
    items: list[Used] = [
        {"what": sentence, "where": "; ".join(dict.fromkeys(where))} for sentence, where in used.items()
    ]
    return _paragraph("Tests", [], items) if items else None


def _multiplicity(document: Document) -> Paragraph | None:
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
            "A component that needs another, such as a gain over the placebo, refutes nothing while that "
            "one is not shown: what learns nothing shows no difference."
        )
    said += _sides([p for _, p in _parts(document)])
    if any(ESTIMANDS[p["kind"]].students for _, p in _parts(document)):
        said.append(SKEWED)
    if any(p["secondary"] for _, p in _parts(document)):
        said.append("Sensitivities carry two-sided 95% intervals that are not adjusted for their number.")
    if any(v["placebo"] for v in judged):
        said.append("Other readings of the placebo decide nothing and are not adjusted.")
    return _paragraph("Several claims at once", said)


def _sides(parts: list[PartData]) -> list[str]:
    """Which intervals are two-sided and which are pairs of bounds."""
    found = {bool(p["two_sided"]): BOUNDS[p["two_sided"]] for p in parts}
    return [found[side] for side in sorted(found)]


def _times(document: Document) -> Paragraph | None:
    own = [p for _, p in _parts(document) if p["kind"] == "ratio"]
    if not own:
        return None
    said = [
        "Kaplan-Meier curves carry the simultaneous Dvoretzky-Kiefer-Wolfowitz band (Massart's constant).",
        "Ratios of times: a hit is spread evenly over the step in which it was seen, and all relabellings "
        "of pairs are counted; nothing is drawn.",
    ]
    if any(s["reading"] == "medians" for p in own for s in p["secondary"]):
        resamples = default(survival.median_ratio, "resamples")
        said.append(f"Ratios of medians: bootstrap of pairs within queries, {resamples:,} resamples.")
    return _paragraph("Times to a threshold", said)


def _curves(document: Document) -> Paragraph | None:
    banded: dict[str, int] = {}
    for band in document["bands"]:
        how = band["method"] if band["level"] is None else f"{band['method']} ({percent(band['level'])})"
        banded[how] = banded.get(how, 0) + 1
    said = []
    if any(b["level"] is not None for b in document["bands"]):
        said = ["Bands are simultaneous: with their confidence the whole mean curve lies inside."]
    items: list[Used] = [
        {"what": how, "where": f"{count} curve{'s' * (count > 1)}"} for how, count in banded.items()
    ]
    return _paragraph("Learning curves", said, items) if items else None


def _theory(document: Document) -> Paragraph | None:
    methods = sorted({b["theory"]["method"] for b in document["bands"] if b["theory"]})
    predicted = any(v is not None for v in document["predictions"].values())
    if not methods and not predicted:
        return None
    said = ["Closed forms are computed from the settings of a run and never fitted to it."]
    if methods:
        said.append(f"Curves: {', '.join(methods)}.")
    return _paragraph("Closed forms", said)


def _more(document: Document) -> Paragraph | None:
    """Methods of the sections apart from the claims, each with the worlds that it was used in."""
    merged: dict[str, list[str]] = {}
    for summary in document["summaries"]:
        for name in ("area", "crossing", "final", "improvement"):
            if summary[name] is not None:
                merged.setdefault(f"{SUMMED[name]}: {summary[name]['method']}", []).append(summary["world"])
    for entry in (*document["paths"], *document["components"]):
        merged.setdefault(entry["method"], []).append(entry["world"])
    for entries, how in ((document["fits"], FIT), (document["transfer"], THERE)):
        if entries:
            merged[how] = [entry["world"] for entry in entries]
    tests = [s["evidence"]["tests"] for s in document["diagnosis"] if "tests" in s["evidence"]]
    if tests:
        merged[SIGNS.format(tests=max(tests))] = [s["world"] for s in document["diagnosis"]]
    used: list[Used] = [
        {"what": what, "where": "; ".join(dict.fromkeys(where))} for what, where in merged.items()
    ]
    return _paragraph("Further readings", [], used) if used else None


def _software(_: Document) -> Paragraph:
    installed = versions()
    named = ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed)
    return _paragraph("Software", [f"Analysed with {named}."])


def _range(values: list[int]) -> str:
    if not values:
        return "an unknown number of"
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def assumptions(document: Document) -> list[str]:
    """Assumptions behind the verdicts of a report."""
    kinds = dict.fromkeys(p["kind"] for v in document["verdicts"] for p in v["parts"])
    here = {not world["imported"] for world in document["worlds"]}
    always = [said for own, said in ((True, RUN_HERE), (False, IMPORTED)) if own in here]
    return [*always, *(ESTIMANDS[kind].assumes for kind in kinds)]


def cautions(records: Records) -> list[str]:
    """What a reader has to know before anything else, a sentence or two each."""
    return [
        f"'{world.model}' is a tiny model, pretrained from scratch on short synthetic questions. Its "
        "verdicts are no evidence about a pretrained model of billions of parameters. Part of what such a "
        "model learns from one query is the answer's format."
        for world in records.worlds.values()
        if isinstance(world, LLMWorld) and world.model.startswith("tiny-") and records.of(world.name)
    ]


def limits(records: Records, verdicts: list[Verdict]) -> list[str]:
    """Limits of this study, a sentence or two each.

    Args:
        records: Records of a study.
        verdicts: The verdicts on its claims.
    """
    worlds = [w for w in records.worlds.values() if records.of(w.name)]
    found = cautions(records)
    for world in worlds:
        if isinstance(world, ImportedWorld):
            found += [f"'{world.name}': {sentence}" for sentence in world.missing]
            found.append(
                f"'{world.name}' is imported. Its claims are post hoc. Its runs are paired by the order in "
                "which they were given. Conditions are compared as if what is unknown were the same. "
                f"Unknown are {', '.join(world.unknown) or 'no settings'}."
            )
    if any(isinstance(w, LLMWorld) and w.train_items is None for w in worlds):
        found.append(
            "Statements are about these queries only: they were chosen by base Pass@1 and are few. Seeds "
            "are the replicates."
        )
    for world in worlds:
        if isinstance(world, ContextualWorld) and not draws_a_world(world):
            shared = f"draw {world.draw}" if world.features is None else f"'{Path(world.features).name}'"
            found.append(
                f"All seeds of '{world.name}' share the contexts of {shared}: its intervals are over seeds, "
                "given those contexts."
            )
    found += _of_times([p for v in verdicts for p in v.parts])
    for verdict in verdicts:
        read = list(dict.fromkeys(p.world for p in verdict.parts))
        if verdict.kind == "sim" and not verdict.derived and len(read) > 1:
            found.append(
                f"One simulated verdict reads {len(read)} worlds, {' and '.join(read)}: the lumped bandit "
                "has no test set, so test Pass@1 comes from the contextual policy."
            )
            break
    return found


def _of_times(parts: list[Part]) -> list[str]:
    """Limits of hitting times, where a claim is about them."""
    found = []
    ratios = [p for p in parts if p.kind == "ratio"]
    others = [s for p in ratios for s in p.secondary]
    held = {s.reading for s in others}
    if ratios:
        steps = ", ".join(f"{step:g}" for step in sorted({p.counts["step"] for p in ratios}))
        rounded = " The sensitivities hold the same ratio with times rounded up." * ("rounded up" in held)
        medians = " Then read the ratio of medians, among the sensitivities." * ("medians" in held)
        found += [
            f"Hitting times are known to within one evaluation step ({steps} rounds). The ratio spreads "
            f"each of them evenly over its step.{rounded}",
            "The ratio takes one factor to stretch the whole distribution of times. Where the conditions "
            f"also differ in spread, it is an average that leans towards late runs.{medians}",
        ]
    asked = {p.setting.consecutive for p in parts if p.estimand in ("time", "failures")} - {None}
    if asked:
        said = (
            "Evaluations are sampled: a run near the threshold may cross it late by chance. That is why "
            f"{' or '.join(map(str, sorted(asked, key=str)))} evaluations in a row must reach it."
        )
        if thresholds := sorted({s.values["threshold"] for s in others if s.reading == "threshold"}):
            said += f" Thresholds of {' and '.join(f'{x:g}' for x in thresholds)} are sensitivities only."
        found.append(said)
    return found
