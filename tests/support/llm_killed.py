"""A study's worth of runs that a process goes on with until somebody kills it; imported by that process."""

import random
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import llm_runs.execution
import llm_runs.tiny.engine
import llm_runs.tiny.learner
from banditrft.catalog import status
from banditrft.launch.jobs import environment
from banditrft.records import write_run
from support.llm import run

ROUNDS = 60
POOL = {"train_items": 5, "checkpoint_every": 2, "keep_texts": 10}
DESIGN = {
    "rounds": ROUNDS,
    "batch_size": 3,
    "baseline_rollouts": 1,
    "replay_window": 6,
    "signal": "grpo",
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "grad_clip": 1.0,
    "kl_coef": 0.01,
}
RUNS = [run(seed, 0, settings=POOL, **DESIGN) for seed in (0, 1)]


def go_on(root: Path, rounds: Connection | None = None) -> None:
    """Execute and record what is missing; a byte is sent after every round."""
    missing = status(root, RUNS).missing
    if not missing:
        return
    tick = None if rounds is None else lambda _: rounds.send_bytes(b".")
    for one, tables in zip(missing, llm_runs.execute(missing, tick, root), strict=True):
        write_run(root, one, tables, {})


def killed(root: Path, chance: random.Random) -> bool:
    """Start a process that goes on and kill it at a random moment; whether it was still at work."""
    context = get_context("forkserver")  # imports once, this module with what it needs
    context.set_forkserver_preload([__name__])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=go_on, args=(root, there))
    with environment({"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}):
        process.start()
    there.close()
    since = time.monotonic()
    try:
        for _ in range(chance.randrange(3)):
            here.recv_bytes()
            since = time.monotonic()
        here.recv_bytes()
        time.sleep(chance.random() * (time.monotonic() - since))
    except EOFError:
        process.join()
        return False
    process.kill()
    process.join()
    return True
