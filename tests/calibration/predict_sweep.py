"""Random valid designs in every simulated world: what `predict` says and what a thousand seeds do.

A case is a world, a design and a target, drawn from its number alone. Cases that need more than a few thousand
rounds are drawn again: what they would add is tested by scaling (tests/exact/test_theory_long_runs.py).
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.predict import Prediction, predict, predict_contextual
from banditrft.worlds import ContextualWorld
from sims.contextual.contexts import stage
from sims.contextual.simulator import simulate as simulate_contextual
from sims.learner import TableLearner
from sims.lumped import general
from sims.lumped.simulator import Bandit, simulate

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "results" / "predict"
FILE = "cases.jsonl"
SEEDS = 1000
KINDS = ("ladder", "chain", "adam", "advantage", "noisy", "negative", "general", "several", "query", "pool")
ROUNDS = (4.0, 1500.0)
"""Range of predicted rounds that a case must lie in."""
MOST = 3000
CELLS = 4_000_000
"""Seeds x rounds x dimension of contextual paths in memory at once."""


@dataclass(frozen=True)
class Case:
    """One design in one world.

    Attributes:
        number: Which draw it is.
        kind: One of KINDS.
        place: Arguments of `predict` (p0, num_arms, num_correct, shared), or of a ContextualWorld.
        fields: Fields of the design.
        target: Pass@1 to reach.
    """

    number: int
    kind: str
    place: dict[str, Any]
    fields: dict[str, Any]
    target: float

    @property
    def design(self) -> Design:
        """The design."""
        return Design(**self.fields)

    def predicted(self) -> Prediction:
        """What the closed forms say."""
        if self.kind in ("query", "pool"):
            return predict_contextual(self.design, ContextualWorld(**self.place), target=self.target)
        return predict(self.design, target=self.target, **self.place)


def cases(count: int, first: int = 0) -> list[Case]:
    """The first so many cases from number ``first`` on."""
    return [drawn(number) for number in range(first, first + count)]


def drawn(number: int) -> Case:
    """Case ``number``: its kind in turn, all else at random until `predict` covers it in reach."""
    rng = np.random.default_rng([20_261, number])
    kind = KINDS[number % len(KINDS)]
    while True:
        case = _draw(rng, number, kind)
        try:
            rounds = case.predicted().mean_rounds
        except (InputError, ValueError):
            continue
        if rounds is None or ROUNDS[0] <= rounds <= ROUNDS[1]:
            return case


def _draw(rng: np.random.Generator, number: int, kind: str) -> Case:
    def log_uniform(low: float, high: float) -> float:
        return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    target = float(one_of(0.5, 0.8, 0.9, 0.95, 0.99))
    p0 = min(log_uniform(0.003, 0.5), 0.8 * target)
    place: dict[str, Any] = {"p0": p0, "num_arms": int(log_uniform(2, 20_000))}
    fields: dict[str, Any] = {"rollouts": int(one_of(1, 2, 4, 8, 16)), "rounds": 1}
    sgd = {"optimizer": "sgd", "learning_rate": log_uniform(0.03, 3.0)}
    adam = {"optimizer": one_of("adam", "adam", "adamw"), "learning_rate": log_uniform(0.003, 0.5)}
    advantage = one_of("grpo", "centered", "rloo")
    noise = {
        "reward": "noisy",
        "false_positive": log_uniform(0.005, 0.2),
        "false_negative": float(one_of(0.0, 0.1, 0.3)),
    }
    if kind == "ladder":
        fields |= sgd | {"rollouts": 1}
    elif kind == "chain":
        fields |= sgd | {"rollouts": int(one_of(2, 4, 8, 16))}
    elif kind == "adam":
        fields |= adam
    elif kind == "advantage":
        fields |= one_of(sgd, adam, adam) | {"rollouts": int(one_of(2, 4, 8, 16)), "signal": advantage}
    elif kind == "noisy":
        signal = one_of("raw", "raw", advantage)
        fields |= one_of(sgd, adam, adam) | {"signal": signal} | noise
        fields["rollouts"] = max(fields["rollouts"], 1 if signal == "raw" else 2)
    elif kind == "negative":
        fields |= one_of(sgd, adam) | {"reward": one_of("minus-one-zero", "minus-one-one")}
    elif kind == "general":
        fields |= one_of(sgd, adam) | {"rollouts": int(one_of(2, 4, 8)), "signal": one_of("raw", advantage)}
        fields |= one_of(
            {"batch_size": int(one_of(2, 4, 8))},
            {"baseline_rollouts": int(one_of(1, 2, 4, 8))},
            {"kl_coef": log_uniform(0.001, 0.3), "kl_estimator": one_of("k2", "k3")},
            {
                "batch_size": int(one_of(2, 4)),
                "signal": one_of("batch-centered", "gpg", "reinforce-plus-plus"),
            },
            {"replay_window": 32},
        )
        place |= one_of({}, {"shared": float(one_of(0.1, 0.5, 1.0))})
    elif kind == "several":
        place |= {"num_correct": int(log_uniform(2, 60))}
        place["num_arms"] += place["num_correct"]
        fields |= one_of(sgd, adam) | one_of({}, {"rollouts": 4, "signal": advantage})
    else:
        place = {
            "seeds": 1,
            "base_pass_at_1": p0,
            "dimension": int(one_of(2, 4, 16, 64, 64)),
            "transfer": float(one_of(0.5, 1.0, 2.0)),
            "misalignment": float(one_of(0.3, 0.9, 2.0)),
        }
        fields |= one_of(
            sgd | {"learning_rate": log_uniform(0.001, 0.3)},
            adam | {"learning_rate": log_uniform(0.0005, 0.1)},
        )
        fields |= one_of({}, {"rollouts": 4, "signal": advantage}, noise)
        if kind == "pool":
            place |= {"train_items": int(one_of(4, 16, 64)), "base_pass_at_1": one_of(p0, (0.05, 0.5))}
            fields |= {"batch_size": int(one_of(1, 4))}
    return Case(number, kind, place, fields, target)


def hits(case: Case, rounds: int, seeds: int = SEEDS) -> np.ndarray:
    """First round at which each seed's Pass@1 is at least the target, (R,); -1 where it is not in ``rounds``."""
    if case.kind in ("query", "pool"):
        return _contextual_hits(case, rounds, seeds)
    p0, K, m = case.place["p0"], case.place["num_arms"], case.place.get("num_correct", 1)
    bandit = Bandit.of((m, K - m), [p0, 1 - p0], [1, 0])
    if case.kind != "general":
        paths = simulate(
            bandit,
            TableLearner.from_design(case.design, p0),
            root_seed=case.number,
            seeds=range(seeds),
            rounds=rounds,
            eval_rounds=(),
            target=case.target,
        )
        return np.asarray(paths.hit_R)
    bandit = replace(bandit, shared=case.place.get("shared", 0.0))
    found = general.simulate(
        bandit,
        case.design.model_copy(update={"rounds": rounds}),
        root_seed=case.number,
        seeds=range(seeds),
        eval_rounds=range(rounds + 1),
    )
    return _first(found.p_RE >= case.target)


def _contextual_hits(case: Case, rounds: int, seeds: int) -> np.ndarray:
    world, design = ContextualWorld(**case.place), case.design.model_copy(update={"rounds": rounds})
    keep, found = np.arange(rounds + 1), []
    step = max(CELLS // (len(keep) * world.dimension), 1)
    for start in range(0, seeds, step):
        them = np.arange(start, min(start + step, seeds))
        scene = stage(world, case.number).scene(them)
        paths = simulate_contextual(
            scene.w0_PD, scene.pool, design, root_seed=case.number, seeds=them, keep_rounds=keep
        )
        x_RFN = np.einsum("rnd,rfd->rfn", scene.pool.u_PND, paths.w_RFD) + scene.pool.offset_PN[:, None, :]
        found.append(_first(expit(x_RFN).mean(axis=2) >= case.target))
    return np.concatenate(found)


def _first(reached_RT: np.ndarray) -> np.ndarray:
    return np.where(reached_RT.any(axis=1), reached_RT.argmax(axis=1), -1)


def horizon(found: Prediction) -> int:
    """Rounds to simulate: far beyond what is predicted."""
    if found.mean_rounds is None:
        return 500
    wide = found.mean_rounds + 12.0 * (found.sd_rounds or found.mean_rounds)
    return int(min(max(3.0 * found.mean_rounds, wide) + 20, MOST))


def read(folder: Path) -> list[dict[str, Any]]:
    """Cases that were simulated already."""
    path = folder / FILE
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )


def again(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what is predicted now next to what was simulated."""
    case = Case(row["number"], row["kind"], row["place"], row["fields"], row["target"])
    found = case.predicted()
    return row | {
        "method": found.method,
        "predicted": found.mean_rounds,
        "predicted_sd": found.sd_rounds,
        "mean_range": None if found.mean_range is None else list(found.mean_range),
        "notes": list(found.notes),
    }


def complete(row: dict[str, Any]) -> bool:
    """Whether all seeds arrived, so that they have a mean."""
    return bool(row["arrived"] == 1.0)


def inside(row: dict[str, Any]) -> bool:
    """Whether the simulated mean, with three standard errors, meets the range that was predicted."""
    low, high = row["mean_range"]
    error = 3.0 * row["sd"] / math.sqrt(SEEDS)
    return bool(low - error <= row["mean"] <= high + error)


def page(rows: list[dict[str, Any]]) -> str:
    """The sweep as a table, a row per kind of case."""
    lines = [
        "# Predictions beside simulation",
        "",
        f"{len(rows)} random designs in every simulated world, {SEEDS:,} seeds each, written by",
        "`PREDICT_OUT=docs/results/predict pytest -m calibration tests/calibration/test_predict_calibration.py` (case by case in",
        f"`{FILE}`; delete it to simulate again). `no mean`: `predict` gives none and says why (an unreached target, runs that",
        "go astray). `all arrive`: cases with a mean in which every seed arrives within the horizon; the others are not judged.",
        "`inside`: the simulated mean lies in `mean_range`, three standard errors allowed. Ratios are simulated over predicted.",
        "The ranges of approximations were set after cases 0 to 225 had been seen; the later ones judge them.",
        "",
        "| kind | cases | no mean | all arrive | inside | median ratio | lowest | highest | ratio of sd, median |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        of_kind = [row for row in rows if row["kind"] == kind]
        known = [row for row in of_kind if row["predicted"] is not None]
        whole = [row for row in known if complete(row)]
        ratios = [row["mean"] / row["predicted"] for row in whole]
        spreads = [row["sd"] / row["predicted_sd"] for row in whole if row["predicted_sd"]]
        figures = (
            [f"{np.median(ratios):.3f}", f"{min(ratios):.3f}", f"{max(ratios):.3f}"] if ratios else ["-"] * 3
        )
        spread = f"{np.median(spreads):.2f}" if spreads else "-"
        counts = (len(of_kind), len(of_kind) - len(known), len(whole), sum(map(inside, whole)))
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} | {' | '.join(figures)} | {spread} |")
    return "\n".join(lines) + "\n"


def write(rows: list[dict[str, Any]], folder: Path) -> None:
    """Leave the cases and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "README.md").write_text(page(rows), encoding="utf-8")


def measured(case: Case, seeds: int = SEEDS) -> dict[str, Any]:
    """What was predicted and what was seen, as plain values."""
    found = case.predicted()
    rounds = horizon(found)
    hit_R = hits(case, rounds, seeds)
    arrived_R = hit_R[hit_R >= 0].astype(float)
    late_R = np.where(hit_R >= 0, hit_R.astype(float), math.inf)
    middle = float(np.quantile(late_R, 0.5, method="higher"))
    return {
        "number": case.number,
        "kind": case.kind,
        "place": case.place,
        "fields": case.fields,
        "target": case.target,
        "method": found.method,
        "predicted": found.mean_rounds,
        "predicted_sd": found.sd_rounds,
        "predicted_median": None if found.quantiles is None else found.quantiles["0.5"],
        "notes": list(found.notes),
        "horizon": rounds,
        "arrived": len(arrived_R) / len(hit_R),
        "mean": float(arrived_R.mean()) if len(arrived_R) else None,
        "sd": float(arrived_R.std(ddof=1)) if len(arrived_R) > 1 else None,
        "median": middle if math.isfinite(middle) else None,
    }
