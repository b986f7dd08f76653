"""Logs of other trainers, written small and in their own forms, with numbers set by hand."""

import json
from pathlib import Path

import polars as pl

N = 16  # responses per step


def trl_state(path: Path, counts=(2, 4, 8, 12), n=N, every=1, **extra) -> Path:
    """A trainer_state.json with one reward function; `counts` are right answers per log entry of n x every."""
    history = [
        {
            "step": every * (i + 1),
            "epoch": 0.1 * i,
            "reward": k / (n * every),
            "rewards/accuracy/mean": k / (n * every),
            "rewards/accuracy/std": 0.5,
            "frac_reward_zero_std": 0.25,
            "grad_norm": 0.1,
            "clip_ratio/region_mean": 0.0,
            "learning_rate": 1e-6,
            **extra,
        }
        for i, k in enumerate(counts)
    ]
    path.write_text(json.dumps({"logging_steps": every, "log_history": history}))
    return path


def trl_completions(folder: Path) -> Path:
    """Two prompts of two completions each at steps 1 and 2, a table per step."""
    (folder / "completions").mkdir(parents=True)
    for step, rewards in ((1, [0.0, 1.0, 0.0, 0.0]), (2, [1.0, 1.0, 0.0, 1.0])):
        pl.DataFrame(
            {
                "step": [step] * 4,
                "prompt": ["a", "a", "b", "b"],
                "completion": ["x"] * 4,
                "accuracy": rewards,
                "advantage": [0.1] * 4,
            }
        ).write_parquet(folder / "completions" / f"completions_{step:05d}.parquet")
    return folder


def verl_console(path: Path, counts=(2, 4, 8, 12), n=N) -> Path:
    """A console log with other lines between, a validation before training and one after it."""
    lines = ["Training Progress: 0%", "step:0 - val-core/toy/acc/mean@1:0.250"]
    for step, k in enumerate(counts, 1):
        test = " - val-core/toy/acc/mean@1:0.750" if step == len(counts) else ""
        lines.append(
            f"(TaskRunner pid=7) step:{step} - actor/grad_norm:0.5 - actor/pg_clipfrac:np.float64(0.01)"
            f" - critic/score/mean:{k / n:.4f}{test}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def verl_jsonl(path: Path, counts=(2, 4, 8, 12), n=N) -> Path:
    """The same metrics as verl's file logger writes them."""
    rows = [
        {"step": i, "data": {"critic/score/mean": k / n, "actor/grad_norm": 0.5}}
        for i, k in enumerate(counts, 1)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verl_dumps(folder: Path) -> Path:
    """Rollout dumps of two steps, two prompts of two responses each."""
    folder.mkdir()
    for step, scores in ((1, [0, 1, 0, 0]), (2, [1, 1, 0, 1])):
        rows = [
            {"input": "ab"[i // 2], "output": "x", "gts": "1", "score": float(s), "step": step}
            for i, s in enumerate(scores)
        ]
        (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def metrics_csv(path: Path, counts=(2, 4, 8, 12), n=N) -> Path:
    """Step, mean reward, and a test accuracy in percent at the first and last step."""
    tests = {1: "25.0", len(counts): "75.0"}
    rows = [f"{i},{k / n:.4f},{tests.get(i, '')}" for i, k in enumerate(counts, 1)]
    path.write_text("\n".join(["step,reward_avg,eval_acc", *rows]) + "\n")
    return path


def runs_csv(path: Path) -> Path:
    """Final accuracies of four runs, k/8."""
    path.write_text("name,G,accuracy\nsmall-4,4,0.5\nsmall-8,8,0.625\nbig-4,4,0.75\nbig-4b,4,0.875\n")
    return path


def counts_csv(path: Path, seeds=3) -> Path:
    """Counts of two items at rounds 0 to 6 for some seeds, all rising."""
    rows = ["condition,seed,item,round,n,correct,split"]
    rows += [
        f"G=4,{seed},{item},{r},8,{min(8, r * (2 + seed % 3) // 2 + item)},train"
        for seed in range(seeds)
        for item in (0, 1)
        for r in range(7)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


MAPPED = {"step": "step", "reward": "reward_avg", "test": "eval_acc%"}
