"""The words of what is shown next to a component and decides nothing: secondary readings and placebos."""

from collections.abc import Callable

from analysis.estimands import FORMATS
from analysis.formats import points, ratio
from analysis.results import Placebo, Secondary
from analysis.wording.parts import caution, optimizer

SECONDARY: dict[str, str] = {
    "elsewhere": "{condition} in '{where}'",
    "lenient": "test difference, lenient grade, points",
    "gain": "gain of '{condition}' over the base policy, points",
    "threshold": "ratio at train Pass@1 ≥ {threshold:g}; {few} and {many} of {runs} runs get there",
    "rounded up": "ratio of times rounded up to the grid",
    "world": "ratio in the world '{where}'",
    "medians": "ratio of median times (bootstrap)",
    "rounds saved": "rounds saved up to round {horizon:g} (restricted means {few:.1f} and {many:.1f})",
    "contrast": "'{second}' minus '{first}', points",
    "contrast at": "'{second}' minus '{first}' ({optimizer}, step {step:g})",
    "ends": "last minus first condition, points",
    "half": "from {first:g} to {last:g}, points per three doublings",
    "curve alone": "maximum of a quadratic alone (Fieller)",
    "set alone": "best value tried alone, with the span of those not shown to be worse than another",
    "below base": "{below} of {runs} runs end below base (95% bounds {low:.2f} to {high:.2f}); the change "
    "with its 95% interval, points",
    "items": "the same with its {items} test items as a sample too, points",
    "noise free": "SD ratio, evaluation noise subtracted (jackknife)",
    "area": "spread of the area under the training curve, which a slower condition has more of",
    "area noise free": "the same, evaluation noise subtracted (jackknife)",
    "round": "the same at round {round:g} alone",
    "factor": "against '{field}' alone",
}
"""Label by reading; what it names are the reading's values."""


def secondary(of: Secondary) -> str:
    """The label of a secondary reading."""
    if of.reading == "optimizer":
        return f"test difference, {optimizer(of.values['optimizer'])}, points"
    if of.reading == "queries":
        low, high = points(of.values["low"]), points(of.values["high"])
        return f"the same over the means of {of.n} training queries ({low} to {high}), points"
    return SECONDARY[of.reading].format(**of.values)


def placebo(of: Placebo) -> dict[str, str]:
    """The label and the sentence of a placebo's reading."""
    label, sentence = PLACEBO[of.reading]
    return {"label": label(of), "sentence": f"{sentence(of)}{caution(of.setting.differs)}"}


def _drawn(of: Placebo) -> str:
    """How the placebo's rewards came about."""
    if of.reward == "random":
        return "With rewards drawn at random"
    return "With the rewards of its pair dealt out at random"


def _runs(of: Placebo) -> str:
    return f"{of.values['successes']} of {of.n} runs"


def _where(of: Placebo) -> str:
    return f"'{of.compared}' in '{of.world}'"


def _interval(of: Placebo) -> str:
    low, high = (FORMATS[of.kind](end) for end in of.interval)
    return f"(95% interval {low} to {high}, {of.n} {of.values['unit']}, unadjusted)"


def _side(of: Placebo) -> str:
    low, high = of.interval
    above, below = low is not None and low > 0, high is not None and high < 0
    return "above" if above else "below" if below else "not distinguished from"


def _threshold(of: Placebo) -> str:
    return f"{of.setting.threshold or 0.0:g}"


PLACEBO: dict[str, tuple[Callable[[Placebo], str], Callable[[Placebo], str]]] = {
    "reach": (
        lambda of: f"Placebo runs shown to exceed train Pass@1 {_threshold(of)}",
        lambda of: f"{_drawn(of)} {_runs(of)} do: so many need no information in the reward.",
    ),
    "time": (
        lambda of: f"Placebo runs that reach train Pass@1 ≥ {_threshold(of)}",
        lambda of: f"Without information in the reward {_runs(of)} hit the threshold.",
    ),
    "failures": (
        lambda of: f"Placebo runs that fail by round {of.setting.horizon or 0.0:g}",
        lambda of: f"{_drawn(of)} {_runs(of)} fail.",
    ),
    "gain": (
        lambda of: f"Placebo's gain in {of.split} Pass@1 over the base policy in '{of.world}', points",
        lambda of: (
            f"{_drawn(of)} {of.split} Pass@1 changes by {points(of.estimate)} points: such a change needs no "
            "information in the reward."
        ),
    ),
    "excess": (
        lambda of: f"Gain over the placebo in final {of.split} Pass@1, {_where(of)}",
        lambda of: (
            f"Its {of.split} Pass@1 ends {points(of.estimate)} points from the placebo's {_interval(of)}: "
            f"{_side(of)} it."
        ),
    ),
    "spread": (
        lambda of: f"Spread of the area under the training curve over the placebo's, {_where(of)}",
        lambda of: f"Its runs spread {ratio(of.estimate)} times as far as the placebo's {_interval(of)}.",
    ),
}
"""Label and sentence by reading."""
