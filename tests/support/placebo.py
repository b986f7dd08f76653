"""Studies whose every condition is a placebo, whatever it is called: one law of drifting runs, set by hand."""

from dataclasses import replace

import numpy as np

from analysis.judging import verdicts
from support.claims import ROUNDS, SEEDS, cell, contextual, design, lumped, records

BATCH = {"batch_size": 32, "optimizer": "adamw"}
KINDS = ("random", "yoked")
A = contextual("a", "any", 8)


def drifting(rng, sign):
    """What a run of a placebo gives: a curve that some runs take to 1, and a test set that drifts up or down."""
    middle = rng.uniform(5, 60, (SEEDS, 1))
    top = np.where(rng.random((SEEDS, 1)) < 0.6, 0.97, 0.6)
    curve = 0.2 + (top - 0.2) / (1 + np.exp(-0.3 * (ROUNDS - middle)))
    end = 0.3 + sign * 0.1 + 0.05 * rng.standard_normal(SEEDS)
    return {"curve": curve, "test": end, "final": np.where(curve[:, -1] > 0.9, 1.0, 0.6)}


def study(rng, world, conditions, sign, **fields):
    """Cells of a world: the conditions by name, and the placebos; all of one law."""
    made = []
    first = next(iter(conditions.values()))
    named = {**conditions, **{k: {**first, "reward": k} for k in KINDS}}
    for name, of in named.items():
        drawn = drifting(rng, sign)
        if world.name.startswith("lumped"):
            drawn.pop("test")
        made.append(cell(world, name, design(**of), **{**drawn, **fields}))
    return made


G1, G4 = {"optimizer": "adam"}, {"optimizer": "adam", "rollouts": 4}
SPEED = {"G=1": G1, "G=4": G4}
SGD = {"G=1": {"optimizer": "sgd"}, "G=4": {"optimizer": "sgd", "rollouts": 4}}
GROUP = {"raw": G4, "GRPO": {**G4, "signal": "grpo"}}
MATCHED = {
    "raw": {"optimizer": "sgd", "rollouts": 4},
    "GRPO": {"optimizer": "sgd", "rollouts": 4, "signal": "grpo", "match_step_size": True},
}


def hard(rng, sign):
    return [
        c
        for p in (0.02, 0.1, 0.3)
        for c in study(rng, contextual(f"base {p}", p), {"G=1": G1}, sign, start=p)
    ]


def renamed(prefix, cells):
    """Cells whose conditions are called otherwise, so that two families stand in one world."""
    return [replace(c, condition=f"{prefix} {c.condition}") for c in cells]


def both(rng, sign, adam, sgd):
    found = []
    for world in (lumped(), contextual(draw=0)):
        found += renamed("Adam", study(rng, world, adam, sign, start=0.2))
        found += renamed("SGD", study(rng, world, sgd, sign, start=0.2))
    return found


CHANGES = {
    "A1": lambda rng, sign: study(rng, lumped(), {"G=1": G1}, sign),
    "A2": lambda rng, sign: study(rng, contextual(), {"G=1": G1}, sign),
    "A4": lambda rng, sign: both(rng, sign, GROUP, MATCHED),
    "A5": lambda rng, sign: both(rng, sign, SPEED, SGD),
    "A6": hard,
    "A7": lambda rng, sign: study(
        rng, lumped(), {"{0, 1}": G1, "{-1, 0}": {**G1, "reward": "minus-one-zero"}}, sign
    ),
    "A8": lambda rng, sign: [
        c for n in ("one", "two") for c in study(rng, contextual(n), {"G=1": G1}, sign * (n == "one"))
    ],
    "B1": lambda rng, sign: study(rng, A, {"raw": BATCH}, sign),
    "B2": lambda rng, sign: study(
        rng, A, {"raw": BATCH, "GRPO": {**BATCH, "signal": "grpo", "baseline_rollouts": 7}}, sign
    ),
    "B3": lambda rng, sign: study(rng, A, {f"G={g}": {**BATCH, "rollouts": g} for g in (1, 8, 64)}, sign),
    "B4": lambda rng, sign: study(
        rng,
        A,
        {f"B={2**k}": {"batch_size": 2**k, "rollouts": 256 // 2**k, "signal": "grpo"} for k in range(3, 8)},
        sign,
    ),
    "B5": lambda rng, sign: study(
        rng,
        A,
        {
            "fresh": {**BATCH, "signal": "grpo", "rollouts": 8},
            "replay": {**BATCH, "signal": "grpo", "rollouts": 1, "replay_window": 8},
        },
        sign,
    ),
    "B6": lambda rng, sign: study(
        rng, A, {f"B={b}": {**BATCH, "batch_size": b} for b in (256, 512, 2048)}, sign
    ),
    "B7": lambda rng, sign: [
        c
        for w, up in ((A, 1), (contextual("b", "any", 8), -1))
        for c in study(rng, w, {"raw": BATCH, "G=8": {**BATCH, "rollouts": 8}}, up)
    ],
}
"""Claim -> the cells of its study, every one a placebo; A3 is about spread, which a placebo has."""


def word(claim, cells):
    return next(v for v in verdicts(records([claim], *cells)) if not v.derived)
