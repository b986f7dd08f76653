"""The figure of `sims.diagrams.exploration`."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sims.diagrams import style
from sims.diagrams.cells import high


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Late Pass@1 over K, then what it costs, then over rounds; told nothing above, the policy below."""
    names = list(dict.fromkeys(table["algorithm"]))
    laws = table.select("reward_wrong", "reward_correct").unique(maintain_order=True).rows()
    figure, axes = style.panels(2, len(laws) + 2, 3.1 * (len(laws) + 2), 6.4)
    last = table.filter(pl.col("round") == high(table["round"]))
    for row, told in enumerate((False, True)):
        for panel, law in zip(axes[row], laws, strict=False):
            some = last.filter((pl.col("told_the_policy") == told) & (pl.col("reward_correct") == law[1]))
            _lines(panel, some, names, "arms", "pass_at_1")
            panel.set_title(f"{_start(some)}\nreward rates {law[0]:g} (wrong), {law[1]:g} (correct)")
            panel.set_ylabel("Pass@1 in the second half")
            panel.set_ylim(-0.04, 1.04)
    plain = table.filter(pl.col("reward_wrong") == 0.0)
    unaware, aware = (
        last.filter((pl.col("reward_wrong") == 0.0) & (pl.col("told_the_policy") == told))
        for told in (False, True)
    )
    _search(axes[0, -2], unaware, names)
    _lines(axes[1, -2], aware, names, "arms", "regret")
    axes[1, -2].set_ylabel(f"wrong answers in {last['round'][0]} rounds")
    for panel, some in ((axes[0, -2], unaware), (axes[1, -2], aware)):
        panel.set_title(f"{_start(some)}\nrewards 0 and 1")
    few, most = sorted(set(table["arms"]))[1], high(table["arms"])
    for panel, told, K in ((axes[0, -1], False, few), (axes[1, -1], True, most)):
        some = plain.filter((pl.col("told_the_policy") == told) & (pl.col("arms") == K))
        _lines(panel, some, names, "round", "regret")
        panel.set_title(f"{_start(some)}\nrewards 0 and 1, K = {K:g}")
        panel.set_ylabel("wrong answers so far")
        panel.set_xlabel("round")
    for panel in axes[:, -2:].flat:
        panel.set_yscale("log")
    for panel in axes.flat:
        panel.set_xscale("log")
    for panel in axes[-1, :-1]:
        panel.set_xlabel("number of arms K (one correct)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _search(panel: Axes, unaware: pl.DataFrame, names: list[str]) -> None:
    _lines(panel, unaware.drop_nulls("first_correct"), names, "arms", "first_correct")
    for name in ("UCB1", "epsilon-greedy"):
        theory = unaware.filter(pl.col("algorithm") == name).sort("arms")
        panel.plot(theory["arms"], theory["first_correct_theory"], **style.THEORY)
    panel.text(0.08, 0.75, "theory: K\nand (K + 1)/2", transform=panel.transAxes)
    panel.set_ylabel("rounds to the first correct answer")


def _start(table: pl.DataFrame) -> str:
    """How the algorithms of a panel begin."""
    if table["told_the_policy"].all():
        return f"told the policy: $p_0$ = {high(table['p0']):g}"
    return "told nothing: all arms alike"


def _lines(axes: Axes, table: pl.DataFrame, names: list[str], x: str, y: str) -> None:
    """One line per algorithm."""
    for i, name in enumerate(names):
        rows = table.filter(pl.col("algorithm") == name).sort(x)
        if len(rows):
            style.line(axes, i, rows[x], rows[y], rows[f"{y}_se"], name)
