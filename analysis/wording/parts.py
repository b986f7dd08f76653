"""The words of a component: its label, the test and why it, the power behind it, and the title of its plot.

What is said follows from what the component is: its kind, what it is about and what it is compared with. A
new combination of the three is a new row of `WORDS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from analysis.estimands import ESTIMANDS, Kind
from analysis.formats import p_value, percent, points
from analysis.inference.means import ALLOWED
from analysis.results import Comparator, Part, Quantity, Values

MISSING = "none of those measured"
"""What decides where all that was measured holds and a component is missing."""
OPTIMIZERS = {"adam": "Adam", "sgd": "SGD"}
CURVES = {"train": "training", "test": "test"}
SIDES = {"above": "is above", "below": "is below", "open": "is not distinguished from"}
Say = Callable[[Part], str]


@dataclass(frozen=True)
class Words:
    """What is said of one sort of component; without a title its label is one, without an axis its kind's."""

    label: Say
    sentence: Say
    detail: Say
    title: Say | None = None
    axis: Say | None = None


def part(of: Part) -> dict[str, str]:
    """Label, unit, sentence and detail of a component; title and axis of its plot."""
    words = _words(of)
    arms = of.facts.get("arms", 1)
    many = f" The best of {arms} conditions, at its share of the error rate." if arms > 1 else ""
    return {
        "label": label(of),
        "unit": unit(of),
        "sentence": f"{words.sentence(of)}{many}",
        "detail": words.detail(of),
        "title": (words.title or words.label)(of),
        "axis": words.axis(of) if words.axis else ESTIMANDS[of.kind].axis,
    }


def label(of: Part, *, named: bool = False) -> str:
    """What a component states, for people.

    Args:
        of: The component.
        named: Whether to name its world, as is always done where it reads single queries.
    """
    said = _words(of).label(of)
    return f"{said}, '{of.world}'" if named or of.setting.base_below is not None else said


def unit(of: Part) -> str:
    """What one unit of replication is."""
    return of.units if of.replicate is None else f"{of.units} ({of.replicate})"


def optimizer(name: str | None, *, matched: bool = False) -> str:
    """An optimiser's name for people."""
    said = OPTIMIZERS.get(name or "", name or "")
    return f"{said} with matched steps" if matched else said


def fit(of: Values) -> str:
    """A test of fit in words."""
    if not of["tested"]:
        return (
            "not tested, for want of runs" if of["of"] else "not tested, for it fits whatever the values are"
        )
    df = of["df"]
    only = "" if of["whole"] else f", of the first {df[0]} of {of['of']} contrasts only"
    p = p_value(of["p"])
    return f"F({df[0]}, {df[1]}) = {of['f']:.3g}, p {p if p.startswith('<') else f'= {p}'}{only}"


def caution(differs: Sequence[str]) -> str:
    """What a placebo differs in, as a sentence of its own; empty where the reward is all."""
    return f" The placebo differs also in {', '.join(differs)}." if differs else ""


def _words(of: Part) -> Words:
    return WORDS[of.kind, of.estimand, of.comparator]


def _end(value: float | None) -> float:
    """An end of a band or an interval that has one."""
    return 0.0 if value is None else value


def _pair(of: Part, how: str) -> str:
    """The two conditions, the second one first."""
    return f"'{of.conditions[1]}' {how} '{of.conditions[0]}'"


def _title(of: Part) -> str:
    return optimizer(of.setting.optimizer, matched=of.setting.matched)


def _under(of: Part, comma: str = ", ") -> str:
    return f"{comma}{_title(of)}" if of.setting.optimizer else ""


def _equivalence(of: Part) -> bool:
    """Whether the band has two ends that say something."""
    low, high = ESTIMANDS[of.kind].span
    return None not in of.band and of.band[0] != low and of.band[1] != high


def _graded(of: Part) -> str:
    return ", lenient grade" if of.setting.grade == "lenient" else ""


def _detectable(of: Part) -> str:
    """What 80% power would take, in points; of a band around 0 also whether a difference is shown."""
    found = of.facts
    distance, skew = 100 * found["distance"], _skewed(found)
    if "equivalence" not in found:
        return (
            f"At this spread a true value {distance:.2g} points beyond the margin is shown with 80% "
            f"power.{skew}"
        )
    return (
        f"At this spread equivalence within {100 * found['equivalence']:.2g} points is shown with 80% power, "
        f"and a difference of {distance:.2g} points is distinguished from none.{_shown(of)}{skew}"
    )


def _shown(of: Part) -> str:
    """That a gain or a loss is shown, where it is: a band around 0 is not "none"."""
    if of.facts["shown"] is None:
        return ""
    low, high = of.facts["shown"]
    inside = (of.band[0] or 0.0) < low and high < (of.band[1] or 0.0)
    within = "; it lies within the margin" if inside else ""
    word = "gain" if low > 0 else "loss"
    return f" A {word} is shown (95% interval {points(low)} to {points(high)} points){within}."


def _skewed(found: Values) -> str:
    if found.get("skewness") is None:
        return ""
    return (
        f" The values' skewness is {found['skewness']:.2g}, beyond the {ALLOWED:g} that the bounds allow "
        "for: their error rate may be above its nominal one."
    )


def _fraction_detail(of: Part) -> str:
    least, need = _end(of.band[0]), of.facts["need"]
    if need > of.n:
        return f"{of.n} runs cannot show a fraction above {least:g} at this level."
    return (
        f"{need} of {of.n} runs would be enough; 80% power at a true fraction of "
        f"{of.facts['detectable']:.2f}."
    )


def _reach_sentence(of: Part) -> str:
    return (
        "Pass@1 = 1 is read as: the run's final evaluation puts the exact one-sided "
        f"{of.setting.confidence:.0%} lower bound above {of.setting.threshold:g}. The fraction of such runs "
        "gets exact one-sided bounds (Clopper-Pearson)."
    )


def _fails_sentence(of: Part) -> str:
    at = of.setting
    return (
        f"A run fails when no {at.consecutive} consecutive evaluations by round {at.horizon:g} are at or "
        f"above train Pass@1 {at.threshold:g}; the fraction gets exact bounds (Clopper-Pearson)."
    )


def _wins_label(of: Part) -> str:
    placebo, condition = of.conditions
    at = f"{of.setting.threshold:g}"
    if of.estimand == "time":
        return (
            f"Pairs in which '{condition}' reaches train Pass@1 {at} before '{placebo}', of those that differ"
        )
    return (
        f"Pairs in which '{condition}' alone is shown to exceed train Pass@1 {at}, not '{placebo}', of those "
        "that differ"
    )


def _wins_sentence(of: Part) -> str:
    return (
        "A run and its placebo have the same query and seed. Were the reward of no use, either would be "
        "ahead as often as the other: an exact sign test over the pairs in which one is "
        f"ahead.{caution(of.setting.differs)}"
    )


def _wins_detail(of: Part) -> str:
    wins, losses = of.counts["successes"], of.counts["runs"] - of.counts["successes"]
    return f"The condition is ahead in {wins:g}, the placebo in {losses:g} of {of.counts['pairs']:g} pairs."


def _base_label(of: Part) -> str:
    if of.setting.base_below is not None:
        return f"Change of {of.split} Pass@1 on hard queries"
    if of.band[0] == ESTIMANDS[of.kind].span[0]:
        return f"Change of {of.split} Pass@1 from the base policy, '{of.conditions[0]}'"
    return f"Gain in {of.split} Pass@1, {of.conditions[0]}{_graded(of)}"


def _base_sentence(_: Part) -> str:
    return (
        "One-sided paired t test of every run's change over the base policy: both ends are sampled, so the "
        "base's own error is in the spread, and items are not replicates."
    )


def _base_title(of: Part) -> str:
    if of.setting.base_below is not None:
        return f"Change of {of.split} Pass@1 on hard queries"
    word = "Change of" if of.band[0] == ESTIMANDS[of.kind].span[0] else "Gain in"
    return f"{word} {of.split} Pass@1{_graded(of)}"


def _final_label(of: Part) -> str:
    if of.setting.rollouts:
        few, many = of.setting.rollouts
        return f"Final {of.split} Pass@1, G = {many} minus G = {few}{_under(of)}"
    return f"Final {of.split} Pass@1, {_pair(of, 'minus')}{_graded(of)}"


def _final_sentence(of: Part) -> str:
    if "margin_share" in of.facts:
        return (
            "Two one-sided paired t tests (both one-sided bounds inside the margin), because items are not "
            "replicates and runs are paired; the margin is the smaller of "
            f"{100 * of.facts['margin_points']:g} points and {of.facts['margin_share']:.0%} of what "
            f"'{of.conditions[0]}' itself gained over the base policy ({points(of.counts['gain_few'])} "
            "points)."
        )
    how = "Two one-sided paired t tests" if _equivalence(of) else "One-sided paired t test"
    return (
        f"{how} over pairs of runs with one query and seed; items are not "
        f"replicates.{caution(of.setting.differs)}"
    )


def _final_detail(of: Part) -> str:
    if "margin_share" not in of.facts:
        return _detectable(of)
    return (
        f"At this spread {of.n} pairs show equivalence within {100 * of.facts['equivalence']:.2g} points "
        f"with 80% power; the margin is {100 * of.counts['margin']:.2g}.{_skewed(of.facts)}"
    )


def _final_title(of: Part) -> str:
    if of.comparator == "placebo":
        return f"Final {of.split} Pass@1 over the placebo{_graded(of)}"
    return f"Change in final {of.split} Pass@1{_graded(of)}"


def _final_axis(of: Part) -> str:
    if of.setting.rollouts:
        return "points, G = {1} minus G = {0}".format(*of.setting.rollouts)
    return "points, {1} minus {0}".format(*of.conditions)


def _ratio_label(of: Part) -> str:
    at = f"Rounds to train Pass@1 ≥ {of.setting.threshold:g}"
    if of.setting.rollouts:
        few, many = of.setting.rollouts
        return f"{at}, G = {few} over G = {many}{_under(of)}"
    return f"{at}, '{of.conditions[0]}' over '{of.conditions[1]}'"


def _ratio_sentence(of: Part) -> str:
    at = of.setting
    reached = f"first of {at.consecutive} consecutive evaluations"
    if not of.two_sided:
        return (
            f"Hitting time: {reached} at or above the threshold, right-censored at round "
            f"{of.counts['horizon']:g}; one-sided permutation log-rank that swaps labels inside pairs of "
            "runs, inverted for the ratio."
        )
    queries = of.facts["queries"]
    sets = f" within each of {queries} queries" if queries > 1 else " of all runs"
    return (
        f"Hitting time: {reached} with train Pass@1 ≥ {at.threshold:g}, seen every {of.counts['step']:g} "
        f"rounds and right-censored at round {of.counts['horizon']:g}; the ratio inverts a permutation "
        f"log-rank test with risk sets{sets} that swaps labels inside pairs of runs with one query and seed."
    )


def _ratio_detail(of: Part) -> str:
    least = of.facts["least_p"]
    if not of.two_sided:
        if least > 1 - of.level:
            return f"This many pairs cannot decide: the least p-value they can give is {least:.3g}."
        return f"{of.n} pairs; the least p-value they can give is {least:.2g}."
    if least > 1 - of.level:
        return f"This many pairs cannot decide: the least two-sided p-value they can give is {least:.3g}."
    if "power" not in of.facts:
        return "The interval is unbounded: too few runs reach the threshold in both conditions."
    return (
        f"At this spread a true ratio of {of.facts['centre']:.2g} would be shown to lie in the band, power "
        f"{of.facts['power']:.2f}."
    )


def _ratio_title(of: Part) -> str:
    under = f" under {_title(of)}" if of.setting.optimizer else ""
    return f"Rounds to train Pass@1 ≥ {of.setting.threshold:g}{under}"


def _ratio_axis(of: Part) -> str:
    first, second = of.conditions
    if of.setting.rollouts:
        first, second = (f"G = {g}" for g in of.setting.rollouts)
    return f"rounds of {first} over rounds of {second}"


def _risk_detail(of: Part) -> str:
    failed, without = of.counts["failed"], of.counts["failed_without"]
    runs, runs_without = of.facts["runs"]
    return f"{failed:g} of {runs} against {without:g} of {runs_without} fail."


def _risk_sentence(_: Part) -> str:
    return (
        "Boschloo's exact test of two fractions; the bounds are exact too. It takes the two groups as "
        "independent; where they share random streams and fail on the same seeds, that is careful."
    )


def _fall_sentence(of: Part) -> str:
    how = (
        "Every other evaluation picks a run's highest and its lowest later value, those between measure the "
        "fall, and the halves change places: without a fall its mean is 0 or less, whatever the noise of "
        "evaluation."
    )
    if of.comparator == "noise":
        return f"{how} One-sided t test over runs."
    return f"{how} One-sided paired t test; where no run falls it says nothing."


def _noise_sentence(of: Part) -> str:
    return (
        f"Area under each run's {of.setting.evaluations} {of.split} evaluations: SD over seeds within each "
        "query over the SD that binomial evaluation alone gives; the interval is a jackknife over seeds on "
        "the inverse. Above sqrt 2 the seeds' own variance exceeds the evaluation's."
    )


def _noise_detail(of: Part) -> str:
    if "error" not in of.facts:
        return "There is no spread to compare."
    return f"The standard error of the ratio is {100 * of.facts['error']:.2g}% of it."


def _spread_label(of: Part) -> str:
    if of.estimand == "level":
        what = f"train Pass@1 where its mean is {of.setting.progress:g}"
    elif of.estimand == "area":
        what = f"the area under the {CURVES[of.split or 'train']} curve"
    else:
        what = f"the final {of.split} Pass@1"
    return f"Spread of {what}{_under(of)}"


def _spread_sentence(of: Part) -> str:
    if "permuted" not in of.facts:
        return (
            "Brown-Forsythe for pairs: absolute deviations from the query's median, subtracted pair by "
            "pair, one-sided, inverted for the ratio; evaluation noise is in both spreads."
        )
    how = "sign changes" if of.facts["permuted"] else "t"
    return (
        "Brown-Forsythe for pairs: absolute deviations from the query's median, subtracted pair by pair and "
        f"tested by {how}, inverted for the ratio. Evaluation noise is in both spreads; it depends on the "
        "level that a condition is at, so that it can move the ratio either way."
    )


def _spread_detail(of: Part) -> str:
    low, high = of.interval
    above = "inf" if high is None else f"{high:.2f}"
    said = f"Ratios below {_end(low):.2f} and above {above} are excluded at this level."
    return f"{said} {_without_noise(of)}" if "noise_free" in of.facts else said


def _without_noise(of: Part) -> str:
    """The ratio once evaluation noise is subtracted, and whether it says the same at this level."""
    own, judged = of.facts["noise_free"], of.facts["side"]
    if own["estimate"] is None:
        doubt = "" if judged == own["side"] else ": the ratio judged may be that of the noise"
        return f"With evaluation noise subtracted no spread is left to compare{doubt}."
    low, high = (float("inf") if e is None else e for e in own["interval"])
    said = (
        f"With evaluation noise subtracted the ratio is {own['estimate']:.2f} ({percent(of.level)} one-sided "
        f"bounds {low:.2f} and {high:.2f})"
    )
    if judged == own["side"]:
        return f"{said}, which says the same."
    return (
        f"{said}: the two disagree, the ratio judged {SIDES[judged]} {_end(of.band[0]):g} and this one "
        f"{SIDES[own['side']]} it."
    )


def _flat_sentence(of: Part) -> str:
    return (
        f"A least-squares line through each run's {of.setting.evaluations} test evaluations; two one-sided t "
        "tests over runs: a flat curve has to be shown, not merely not excluded."
    )


def _behind_over(of: Part) -> str:
    return f", each over that of its {of.setting.placebo} placebo" if of.setting.placebo else ""


def _behind_sentence(of: Part) -> str:
    return (
        "World x round: Welch's test of this slope against the mean of the other worlds' "
        f"slopes{_behind_over(of)}."
    )


def _dose_label(of: Part) -> str:
    over = f", over '{of.conditions[0]}'" if of.comparator == "placebo" else ""
    return f"Slope of the change in test Pass@1 per unit of base log-odds{over}"


def _dose_sentence(of: Part) -> str:
    if of.units == "queries":
        return "The query is a random effect: a least-squares line through the means of queries, one-sided t."
    return (
        f"Every seed has its own slope over {len(of.worlds)} worlds of different base Pass@1; a t test over "
        "seeds, one-sided."
    )


def _trend_label(of: Part) -> str:
    steps = of.setting.steps
    return (
        f"Slope of final {of.split} Pass@1 per doubling of {of.setting.field}, {steps[0]:g} to {steps[-1]:g}"
    )


def _trend_sentence(of: Part) -> str:
    return (
        f"Every seed meets all {len(of.conditions)} conditions and has its own least-squares slope; two "
        f"one-sided t tests over seeds, with a margin of {100 * _end(of.band[1]):.2g} points per doubling."
    )


def _trend_detail(of: Part) -> str:
    return f"{_detectable(of)} Lack of fit of the straight line: {fit(of.facts['fit'])}."


SET = (
    "a value tried is left out where another one is shown to be better (one-sided paired t tests over "
    "seeds, Bonferroni over the others), and the interval spans those that are left"
)


def _field(of: Part) -> str:
    return (of.setting.field or "").replace("_", " ")


def _place_sentence(of: Part) -> str:
    """The reading that the verdict takes, and why."""
    field, many = of.setting.field, len(of.conditions)
    if of.facts["bent"]:
        return (
            f"The best of {many} values of {field}, without a curve: {SET}. A quadratic's maximum is not "
            "read, since Hotelling's test of the seeds' contrasts beyond a quadratic rejects its fit at 1%."
        )
    how = "does not reject a quadratic at 1%" if of.facts["fit"]["tested"] else "could not be made"
    return (
        f"A quadratic in log2 of {field} through {many} conditions, seed by seed; the interval holds the "
        "places where the mean slope over seeds is not distinguished from 0 (Fieller). Hotelling's test of "
        f"the seeds' contrasts beyond it {how}, which does not show that it fits: the interval is widened to "
        f"what holds without a curve, where {SET}."
    )


def _place_detail(of: Part) -> str:
    """What the place rests on, at the level that the verdict gets."""
    found = of.facts
    said = [
        f"Lack of fit of the quadratic: {fit(found['fit'])}.",
        f"The best cell seen is '{found['best']}', {100 * found['gap']:.2g} points above the claimed one.",
        _rivals(of),
        _width(found),
    ]
    if found["on_edge"]:
        said.append("An end of the interval is the margin's own end, which counts as inside.")
    if found["certain"]:
        said.append("Every value tried lies inside the margin: this part cannot fail.")
    return " ".join(said)


def _rivals(of: Part) -> str:
    """Which values may be best, the neighbours of the best one seen by name."""
    may, near = of.facts["may"], of.facts["near"]
    if len(may) == 1:
        return "It is shown to be better than every other value tried, its neighbours among them."
    parts = [
        f"{_listed(own)} {how}"
        for own, how in (
            ([n for n in near if n in may], "may be better"),
            ([n for n in near if n not in may], "is shown not to be the best"),
        )
        if own
    ]
    left = "any value tried" if len(may) == len(of.conditions) else _listed(may)
    return f"Of its neighbours {', '.join(parts)}; the best may be {left}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{n}'" for n in names)


def _width(found: Values) -> str:
    if found["whole"]:
        return "The interval is the whole ladder: no estimate, for the curve is flat or its top unknown."
    if not found["bent"]:
        return f"The bounds are {found['doublings']:.2g} doublings apart."
    return "On a curve with one maximum the best place lies between {:g} and {:g}.".format(*found["between"])


def _share_sentence(of: Part) -> str:
    return (
        f"Variance of the {len(of.worlds)} worlds' mean gains over its sum with the variance of the "
        f"{len(of.conditions)} conditions' mean gains: all designs together, which is more than any one "
        "factor; a jackknife over seeds on the logarithm of the two variances' ratio. Worlds and conditions "
        "are those of the study, not a sample."
    )


def _share_detail(of: Part) -> str:
    if "log_ratio_se" not in of.facts:
        return "One of the two variances is 0."
    return f"The standard error of the log ratio is {of.facts['log_ratio_se']:.2g}."


_WINS = Words(_wins_label, _wins_sentence, _wins_detail)
_FINAL = Words(
    _final_label,
    _final_sentence,
    _final_detail,
    title=_final_title,
    axis=_final_axis,
)
_SPREAD = Words(
    lambda of: f"{_spread_label(of)}, {_pair(of, 'over')}",
    _spread_sentence,
    _spread_detail,
    title=_spread_label,
    axis=lambda of: "SD of {1} over SD of {0}".format(*of.conditions),
)
_BEHIND = Words(
    lambda of: f"Slope of the other worlds minus this one's{_behind_over(of)}",
    _behind_sentence,
    _detectable,
    axis=lambda _: "points over the run",
)
_DOSE = Words(_dose_label, _dose_sentence, _detectable, axis=lambda _: "points per unit of base log-odds")
WORDS: dict[tuple[Kind, Quantity, Comparator], Words] = {
    ("fraction", "reach", "level"): Words(
        lambda of: f"Runs shown to exceed train Pass@1 {of.setting.threshold:g}",
        _reach_sentence,
        _fraction_detail,
    ),
    ("fraction", "failures", "level"): Words(
        lambda of: f"Runs that fail by round {of.setting.horizon:g}, '{of.conditions[0]}'",
        _fails_sentence,
        _fraction_detail,
    ),
    ("fraction", "reach", "placebo"): _WINS,
    ("fraction", "time", "placebo"): _WINS,
    ("difference", "final", "base"): Words(
        _base_label, _base_sentence, _detectable, _base_title, lambda _: "points over the base policy"
    ),
    ("difference", "final", "condition"): _FINAL,
    ("difference", "final", "placebo"): _FINAL,
    ("ratio", "time", "condition"): Words(
        _ratio_label, _ratio_sentence, _ratio_detail, _ratio_title, _ratio_axis
    ),
    ("risk", "failures", "condition"): Words(
        lambda of: f"Failures by round {of.setting.horizon:g}, {_pair(of, 'minus')}",
        _risk_sentence,
        _risk_detail,
        title=lambda of: f"Failures by round {of.setting.horizon:g}",
        axis=lambda of: "points of runs, {1} minus {0}".format(*of.conditions),
    ),
    ("difference", "drawdown", "noise"): Words(
        lambda of: f"Fall of train Pass@1 after its maximum, '{of.conditions[0]}'{_under(of)}",
        _fall_sentence,
        _detectable,
        title=lambda of: f"Fall after the maximum{_under(of, ' under ')}",
    ),
    ("difference", "drawdown", "condition"): Words(
        lambda of: f"Fall of train Pass@1 after its maximum, {_pair(of, 'minus')}{_under(of)}",
        _fall_sentence,
        _detectable,
        title=lambda of: f"Fall after the maximum{_under(of, ' under ')}",
        axis=_final_axis,
    ),
    ("spread", "area", "noise"): Words(
        lambda of: (
            f"Spread of the area under the {CURVES[of.split or 'train']} curve over evaluation noise, "
            f"{of.conditions[0]}"
        ),
        _noise_sentence,
        _noise_detail,
        title=lambda of: f"Spread of {CURVES[of.split or 'train']} curves",
        axis=lambda _: "SD over seeds / SD of an evaluation",
    ),
    ("spread", "area", "condition"): _SPREAD,
    ("spread", "level", "condition"): _SPREAD,
    ("spread", "final", "condition"): _SPREAD,
    ("slope", "slope", "base"): Words(
        lambda _: "Slope of test Pass@1, as a change over the run",
        _flat_sentence,
        _detectable,
        title=lambda _: "Slope of test Pass@1",
        axis=lambda _: "points over the run",
    ),
    ("slope", "slope", "worlds"): _BEHIND,
    ("slope", "slope", "placebo"): _BEHIND,
    ("slope", "dose", "base"): _DOSE,
    ("slope", "dose", "placebo"): _DOSE,
    ("slope", "slope", "condition"): Words(
        _trend_label,
        _trend_sentence,
        _trend_detail,
        title=lambda of: f"Trend of final {of.split} Pass@1",
        axis=lambda of: f"points per doubling of {_field(of)}",
    ),
    ("location", "place", "condition"): Words(
        lambda of: f"Best {_field(of)}",
        _place_sentence,
        _place_detail,
        axis=_field,
    ),
    ("share", "variance share", "worlds"): Words(
        lambda _: "Share of the worlds in the variance of test gains, against the designs",
        _share_sentence,
        _share_detail,
        title=lambda _: "Worlds against designs",
        axis=lambda _: "share of the two variances",
    ),
}
"""By kind of estimate, what it is about and what it is compared with."""
