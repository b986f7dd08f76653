"""Why has reinforcement fine-tuning no exploration bonus? Classical algorithms beside policy gradient."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from banditrft.design import Design
from sims.diagrams import style
from sims.diagrams.cells import ROOT_SEED, Floats, Row, error, high, in_parallel, prose
from sims.exploration import Explorer, explore, search_rounds
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

QUESTION = "What happens to exploration, and to policy gradient, as the number of possible answers grows?"
SEEDS = 100


@dataclass(frozen=True)
class ExplorationCells:
    """Cells: algorithms x arms x reward laws; one correct arm, of initial mass p0 for those told."""

    arms: tuple[int, ...] = (10, 100, 10**3, 10**4, 10**5, 10**6, 10**9, 10**12)
    rewards: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.2, 0.8))
    p0: float = 0.1
    looks: tuple[int, ...] = (20, 100, 500, 1000, 2000)
    """Rounds at which regret is read; Pass@1 is the mean since the one before."""
    most_searched: int = 10**4
    """Largest K for which the search of those told nothing is simulated to its end."""


FULL = ExplorationCells()


def _explorers(informed: bool, wrong: float, good: float) -> dict[str, Explorer]:
    assumed = (max(wrong, 0.01), min(good, 0.99))
    named = {
        "UCB1": Explorer("ucb1", informed),
        "KL-UCB": Explorer("kl-ucb", informed),
        "epsilon-greedy": Explorer("epsilon-greedy", informed),
        "decaying epsilon": Explorer("epsilon-greedy", informed, decay=10.0),
        "belief": Explorer("belief", informed, assumed=assumed),
    }
    return named if informed else named | {"Thompson": Explorer("thompson")}


def _learners(rounds: int) -> dict[str, TableLearner]:
    sgd = Design(optimizer="sgd", learning_rate=1.0, rounds=rounds)
    adam = Design(optimizer="adam", learning_rate=0.1, rounds=rounds)
    named = {"policy gradient, SGD": sgd, "policy gradient, Adam": adam}
    return {name: TableLearner.from_design(design, base=0.1) for name, design in named.items()}


def _run(
    informed: bool, name: str, bandit: Bandit, grid: ExplorationCells, seeds: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Success rates of the arms pulled, summed up to each look (R, E); round of the first success (R,)."""
    T, run = grid.looks[-1], {"root_seed": ROOT_SEED, "seeds": range(seeds)}
    if name.startswith("policy"):
        paths = simulate(bandit, _learners(T)[name], rounds=T, eval_rounds=range(T), **run)  # type: ignore[arg-type]
        first_R = np.where(paths.high_RT.any(axis=1), paths.high_RT.argmax(axis=1) + 1, -1)
        return np.cumsum(paths.p_RE, axis=1)[:, np.array(grid.looks) - 1], first_R
    wrong, good = bandit.reward_C[::-1]
    explorer = _explorers(informed, wrong, good)[name]
    found = explore(bandit, explorer, rounds=T, eval_rounds=grid.looks, **run)  # type: ignore[arg-type]
    K = int(bandit.arms_C.sum())
    if wrong > 0 or not (informed or grid.most_searched >= K):
        return found.gain_RE, found.first_R
    longest = 100 * (int(1 / grid.p0) if informed else K)
    first = explore(bandit, explorer, rounds=longest, until_first=True, **run)  # type: ignore[arg-type]
    return found.gain_RE, first.first_R


def _rows(
    informed: bool, name: str, K: int, law: tuple[float, float], grid: ExplorationCells, seeds: int
) -> Iterator[Row]:
    wrong, good = law
    p0, looks_E = grid.p0 if informed else 1.0 / K, np.array(grid.looks)
    bandit = Bandit.of([1, K - 1], [p0, 1.0 - p0], [good, wrong])
    gain_RE, first_R = _run(informed, name, bandit, grid, seeds)
    right_RE = (gain_RE - looks_E * wrong) / (good - wrong)
    timed = law == (0.0, 1.0) and bool((first_R > 0).all())
    for e, t in enumerate(grid.looks):
        before = grid.looks[e - 1] if e else 0
        late_R = (right_RE[:, e] - (right_RE[:, e - 1] if e else 0.0)) / (t - before)
        last = t == grid.looks[-1]
        yield {
            "told_the_policy": informed,
            "algorithm": name,
            "arms": K,
            "p0": p0,
            "reward_wrong": wrong,
            "reward_correct": good,
            "round": t,
            "seeds": seeds,
            "regret": float(np.mean(t - right_RE[:, e])),
            "regret_se": error(right_RE[:, e]),
            "pass_at_1": float(late_R.mean()),
            "pass_at_1_se": error(late_R),
            "first_correct": float(first_R.mean()) if timed and last else None,
            "first_correct_se": error(first_R) if timed and last else None,
            "first_correct_theory": _wait(name, informed, K, p0) if law == (0.0, 1.0) and last else None,
        }


def _wait(name: str, informed: bool, K: int, p0: float) -> float | None:
    """Expected round of the first correct answer, where it has a closed form."""
    repeats = name in ("epsilon-greedy", "decaying epsilon") or name.startswith("policy")
    if name == "Thompson" or (informed and not repeats):
        return None
    return 1.0 / p0 if informed else search_rounds(K, 1, repeats=repeats)


def compute(seeds: int = SEEDS, grid: ExplorationCells = FULL) -> pl.DataFrame:
    """One row per algorithm, number of arms, reward law and look.

    Args:
        seeds: Replicates per cell.
        grid: The cells.

    Returns:
        Regret (pulls of wrong arms) up to the look, Pass@1 since the one before; at the last look the mean
        round of the first correct answer (null where some replicate had none) and what theory says of it:
        (K + 1)/2 without repetition, K with it, 1/p0 when drawing from a policy that gives the arm mass p0.
    """
    cells = [
        (informed, name, K, law)
        for law in grid.rewards
        for informed in (False, True)
        for name in [*_explorers(informed, *law), *_learners(1)]
        for K in grid.arms
    ]
    return pl.DataFrame(in_parallel(lambda cell: _rows(*cell, grid, seeds), cells), infer_schema_length=None)


def finding(table: pl.DataFrame) -> str:
    """The price of optimism where the policy knows where to look."""
    K, T = high(table["arms"]), int(high(table["round"]))
    cells = table.filter(
        (pl.col("arms") == K)
        & (pl.col("round") == T)
        & pl.col("told_the_policy")
        & (pl.col("reward_wrong") == 0.0)
    )
    regret = dict(zip(cells["algorithm"], cells["regret"], strict=True))
    return prose(f"""
        With {K:.0e} arms and mass {cells["p0"][0]:g} on the correct one, UCB1 pulls
        {regret["UCB1"]:.0f} wrong arms in {T} rounds, for it must try every arm once; drawing from the
        policy pulls {regret["belief"]:.0f} (probability matching), {regret["policy gradient, SGD"]:.0f}
        (SGD) or {regret["policy gradient, Adam"]:.0f} (Adam, whose eps binds at this K).""")


def caption(table: pl.DataFrame) -> str:
    """What was run, what is uncertain."""
    T, p0 = int(high(table["round"])), high(table.filter("told_the_policy")["p0"])
    return prose(f"""
        Each cell: {T} rounds, one pull a round, one correct arm among K. *Told nothing*: all arms
        alike, the policy uniform. *Told the policy*: the correct arm has mass {p0:g} and the others
        share the rest; index rules take never-pulled arms in the policy's order, epsilon-greedy
        explores and breaks ties by it, *belief* (Thompson sampling of which arm is good) has it as its
        prior, policy gradient starts from it. Thompson sampling with a flat Beta prior has no place for
        it. *Decaying epsilon* is min(1, 10/t), epsilon otherwise 0.1; SGD has learning rate 1, Adam 0.1
        and eps 1e-8, both with raw rewards.

        Why no bonus. Told nothing, an algorithm that repeats no arm finds the correct one after (K +
        1)/2 pulls on average, one that does after K, and no bonus changes that. Told the policy, a draw
        from it succeeds after 1/p0 = {1 / p0:g} pulls, whatever K. Optimism about never-pulled arms
        throws that away: UCB1 and KL-UCB pull no arm twice before they have pulled all K. A search that
        ignores the policy is the faster one only where (K + 1)/2 < 1/p0: where the policy gives the
        correct arm hardly more than its even share.

        Simulated exactly, by lumping arms with equal counts. Monte-Carlo errors stand in the data (of
        Pass@1 in the second half: at most
        {high(table.filter(pl.col("round") == T)["pass_at_1_se"]):.3f}); algorithms share random
        numbers. All wrong arms are equally likely here: where a policy concentrates on few wrong
        answers, drawing from it waits no longer, but an algorithm that starts greedily would stay with
        one of those.""")


@style.house
def draw(table: pl.DataFrame) -> Figure:
    """Late Pass@1 over K, then what it costs, then over rounds; told nothing above, the policy below."""
    names = list(dict.fromkeys(table["algorithm"]))
    laws = table.select("reward_wrong", "reward_correct").unique(maintain_order=True).rows()
    figure, axes = style.panels(2, len(laws) + 2, 3.1 * (len(laws) + 2), 6.4)
    last = table.filter(pl.col("round") == high(table["round"]))
    for row, informed in enumerate((False, True)):
        for panel, law in zip(axes[row], laws, strict=False):
            some = last.filter((pl.col("told_the_policy") == informed) & (pl.col("reward_correct") == law[1]))
            _lines(panel, some, names, "arms", "pass_at_1")
            panel.set_title(f"{_start(some)}\nreward rates {law[0]:g} (wrong), {law[1]:g} (correct)")
            panel.set_ylabel("Pass@1 in the second half")
            panel.set_ylim(-0.04, 1.04)
    plain = table.filter(pl.col("reward_wrong") == 0.0)
    unaware, aware = (
        last.filter((pl.col("reward_wrong") == 0.0) & (pl.col("told_the_policy") == informed))
        for informed in (False, True)
    )
    _search(axes[0, -2], unaware, names)
    _lines(axes[1, -2], aware, names, "arms", "regret")
    axes[1, -2].set_ylabel(f"wrong answers in {last['round'][0]} rounds")
    for panel, some in ((axes[0, -2], unaware), (axes[1, -2], aware)):
        panel.set_title(f"{_start(some)}\nrewards 0 and 1")
    few, most = sorted(set(table["arms"]))[1], high(table["arms"])
    for panel, informed, K in ((axes[0, -1], False, few), (axes[1, -1], True, most)):
        some = plain.filter((pl.col("told_the_policy") == informed) & (pl.col("arms") == K))
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
