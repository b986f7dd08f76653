"""The walk fitted to a panel, and its forecast: beliefs filtered to the last entry and pushed on."""

from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from analysis.fits.item_models import ItemFit, bound_warnings, search
from analysis.fits.lattice import answers, carried, states
from analysis.fits.panel import Panel, clock
from analysis.fits.walk import NEVER, Mechanisms, fading, loadings, parameters, push, success
from analysis.fits.walk_filter import Start, Walk

Floats = npt.NDArray[np.float64]
UNCALIBRATED = "no intervals: what Wald's cover of a walk has not been measured"
"""A fit of the size that would need one takes seconds, two thousand of them hours; 120 fits at 128 items
covered .88 to .98."""


@lru_cache(maxsize=32)
def fit_walk(panel: Panel, mechanisms: Mechanisms, *, errors: bool = True) -> ItemFit:
    """Fit the walk to a panel by maximum marginal likelihood.

    Args:
        panel: Counts of items over time.
        mechanisms: What moves them.
        errors: Whether to compute standard errors.
    """
    walk, wanted = Walk(panel, mechanisms), parameters(mechanisms)
    names = [p.name for p in wanted]
    fit = search(
        lambda x: -walk.log_likelihood(dict(zip(names, x.tolist(), strict=True)))[0],
        names,
        [p.start for p in wanted],
        [(p.low, p.high) for p in wanted],
        [p.start for p in wanted],
        n=panel.num_items,
        errors=errors,
    )
    value = {name: fit[name] for name in names}
    _, start = walk.log_likelihood(value)
    free = mechanisms.start == "free"
    df = None if free else len(names) + mechanisms.unreachable
    extra = {"start: mean log-odds": float(start.weight_J @ states() / start.weight_J.sum())} if free else {}
    if mechanisms.unreachable:
        extra["unreachable"] = start.unreachable
    meanings = tuple(p.meaning for p in wanted)
    warnings = bound_warnings(fit, errors=errors)
    ahead = partial(forecast, walk, value, start)
    return ItemFit(fit, df, meanings, ahead, extra, warnings, UNCALIBRATED if names else None)


def forecast(walk: Walk, value: dict[str, float], start: Start, rounds_T: Floats) -> Floats:
    """Probability of a right answer of each item at later rounds, averaged over the belief about it, (I, T).

    Args:
        walk: What was seen, and the mechanisms.
        value: Parameters by name.
        start: Distribution of the base log-odds.
        rounds_T: Rounds after the panel's last, rising.
    """
    panel = walk.panel
    node_C, _ = loadings(value.get("loading", 0.0))
    belief_CIJ, never_I = filtered(walk, value, start)
    shared = float(walk.displacement(value)[-1])
    mean_push = float(walk.mean_push_E[-1])
    times_T = clock(panel.rounds_E, rounds_T)
    now = float(panel.times_E[-1])
    out_IT = np.empty((panel.num_items, times_T.size))
    for i, time in enumerate(times_T.tolist()):
        gap = time - now
        for c, loading in enumerate(node_C.tolist()):
            p_J = success(value, loading, shared)
            if i == 0:  # what the last entry's rollouts taught is known
                last = panel.num_entries - 1
                belief_CIJ[c] = walk.moved(belief_CIJ[c], value, last, gap, p_J, back=False)
            else:
                belief_CIJ[c] = carried(belief_CIJ[c], walk.expected(value, gap, p_J), back=False)
        fade = float(fading(walk.mechanisms, value.get("fade", 0.0), np.array([now]))[0])
        shared += value.get("transfer", 0.0) * fade * mean_push * gap
        p_CJ = np.stack([success(value, loading, shared) for loading in node_C.tolist()])
        out_IT[:, i] = np.einsum("cij,cj->i", belief_CIJ, p_CJ) + NEVER * never_I
        mean_push, now = _expected_push(walk, value, belief_CIJ, p_CJ), time
    return out_IT


def _expected_push(walk: Walk, value: dict[str, float], belief_CIJ: Floats, p_CJ: Floats) -> float:
    """Mean over items of what a group will push, given the beliefs."""
    push_K = push(walk.mechanisms.signal, walk.group)
    push_CJ = np.stack([answers(walk.group, p_J, value.get("rho", 0.0)) @ push_K for p_J in p_CJ])
    return float(np.einsum("cij,cj->", belief_CIJ, push_CJ) / belief_CIJ.shape[1])


def filtered(walk: Walk, value: dict[str, float], start: Start) -> tuple[Floats, Floats]:
    """Belief about each item after its last entry: loading and state, (C, I, J), and never solvable, (I,)."""
    panel = walk.panel
    node_C, weight_C = loadings(value.get("loading", 0.0))
    shared_E, gaps_E = walk.displacement(value), np.diff(panel.times_E)
    belief_CIJ = np.repeat((weight_C[:, None] * start.weight_J)[:, None, :], panel.num_items, axis=1)
    never_I = np.full(panel.num_items, start.unreachable)
    for t in range(panel.num_entries):
        for c, loading in enumerate(node_C.tolist()):
            if t:
                before_J, gap = success(value, loading, float(shared_E[t - 1])), float(gaps_E[t - 1])
                belief_CIJ[c] = walk.moved(belief_CIJ[c], value, t - 1, gap, before_J, back=False)
            belief_CIJ[c] *= walk.seen(value, t, success(value, loading, float(shared_E[t])))
        never_I = never_I * walk.seen_never(t)
        total_I = belief_CIJ.sum(axis=(0, 2)) + never_I
        belief_CIJ /= total_I[None, :, None]
        never_I = never_I / total_I
    return belief_CIJ, never_I
