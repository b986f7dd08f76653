"""Panels of counts drawn from known truths."""

import json
from pathlib import Path

import numpy as np
from scipy.special import expit

from analysis.fits.panel import Panel


def panel(p_IE: np.ndarray, n: int, rng: np.random.Generator) -> Panel:
    """Counts of n answers of each item at each entry."""
    items, entries = p_IE.shape
    n_IE = np.full(p_IE.shape, n)
    names = tuple(str(i) for i in range(items))
    return Panel(names, np.arange(float(entries)), n_IE, rng.binomial(n, p_IE))


def walked(
    items: int,
    entries: int,
    rng: np.random.Generator,
    *,
    n: int = 8,
    shift: float = 0.05,
    tilt: float = 0.0,
    diffusion: float = 0.0,
    centre: float = -0.5,
    spread: float = 1.5,
) -> np.ndarray:
    """Success probabilities whose log-odds gain `shift` an entry, and more the higher they are."""
    noise_IE = diffusion * np.cumsum(rng.standard_normal((items, entries)), axis=1)
    log_odds_IE = rng.normal(centre, spread, (items, 1)) + noise_IE - noise_IE[:, :1]
    shared_E = shift * np.arange(entries)
    return expit(log_odds_IE + (1.0 + tilt * log_odds_IE) * shared_E)


def write_fractions(path: Path, of: Panel) -> Path:
    """The panel as a JSON file of fractions."""
    rates_IE = of.rates_IE()
    found = {name: rates_IE[i].tolist() for i, name in enumerate(of.items)}
    path.write_text(json.dumps(found))
    return path
