"""One round of single-query fine-tuning: stacked replicas against TRL's GRPOTrainer, same model, same run.

    python benchmarks/llm_round.py                       # installs TRL into a virtual environment of its own
    python benchmarks/llm_round.py --trl-python PATH     # or uses one that has it

A round is 4 rollouts of exactly 24 new tokens to one query of tiny-qwen2 (`<eos>` ends nothing on our side
and is never drawn on TRL's), rewards, group-centred signals, one Adam step. Ours: 16 replicas in two
processes of 8, one thread each; a round's time is divided by 16. TRL: one trainer, its own generation and
optimiser, with one and with two threads; the faster counts. Both sides have the machine to themselves in
turn, three times; medians are compared. "Floor" is the time of our batched matrix products alone.

What this is not. It compares our throughput with the latency of a single trainer: several TRL trainers side
by side, one per core, would have more throughput than one. TRL clips gradients (its default) and keeps the
metrics of a general trainer, ours does neither. At this model's size both are overhead more than arithmetic:
the ratio says nothing about larger models.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

G, T, REPLICAS, PROCESSES = 4, 24, 16, 2
LEARNING_RATE = 1e-4
PROMPT, ANSWER = "41+22=?", "63"
MODEL = "tiny-qwen2"
TRL = "trl==1.16.0"


def ours(replicas: int, rounds: int, barrier, results) -> None:
    """Seconds of each round of one process with its replicas."""
    import numpy as np
    import torch

    from banditrft.design import Design
    from banditrft.signals import signal
    from banditrft.streams import Purpose, uniforms
    from llm_runs.base_models import load_base_model
    from llm_runs.engines.stacked import sample
    from llm_runs.evaluation import grade_samples, prompt_tensors
    from llm_runs.learners.stacked import Learner
    from llm_runs.network.stacked import stack
    from llm_runs.tasks import Item, load_task

    torch.set_num_threads(1)
    task, model = load_task("arithmetic"), load_base_model(MODEL)
    design = Design(rollouts=G, signal="centered", learning_rate=LEARNING_RATE, rounds=rounds)
    learner = Learner(model.arch, stack([model.weights()] * replicas), design, 1.0)
    items = [[Item(0, PROMPT, ANSWER, "benchmark")]] * replicas
    prompts, pads = prompt_tensors(task, [[PROMPT]] * replicas)
    seeds = list(range(replicas))

    def one_round(number: int) -> None:
        u = uniforms(0, seeds, [0] * replicas, Purpose.SAMPLE, number, G, T)
        drawn = sample(
            model.arch,
            learner.weights,
            prompts,
            pads,
            torch.from_numpy(u)[:, None],
            temperature=1.0,
            ends=(),
            pad=task.vocabulary.pad,
        )
        graded = grade_samples(task, items, drawn)
        signals = signal(design, graded.strict_SQG[:, 0].astype(np.float64))
        tokens, lengths = drawn.tokens_SQGT[:, 0], drawn.lengths_SQG[:, 0]
        if not (lengths == T).all():
            raise RuntimeError("a response ended before its 24 tokens")
        learner.step(prompts[:, 0], pads[:, 0], tokens, lengths, torch.from_numpy(signals))

    for number in range(3):
        one_round(number)
    barrier.wait()
    started = time.perf_counter()
    for number in range(rounds):
        one_round(number)
    results.put((time.perf_counter() - started) / rounds)


def products(replicas: int, rounds: int, barrier, results) -> None:
    """Seconds of the batched matrix products of one round, nothing else (attention's small ones left out)."""
    import torch

    from llm_runs.base_models import load_base_model

    torch.set_num_threads(1)
    arch = load_base_model(MODEL).arch
    W, F, HD, V = arch.width, arch.feed_forward, arch.heads * arch.head_dim, arch.vocabulary
    shapes = [(W, 3 * HD), (HD, W), (W, 2 * F), (F, W)] * arch.layers + [(W, V)]
    weights = [torch.randn(replicas, k, n) for k, n in shapes]
    tokens = 10 + G * (T - 1)
    decode = [torch.randn(replicas, G, w.shape[1]) for w in weights]
    learn = [torch.randn(replicas, tokens, w.shape[1]) for w in weights]
    grads = [torch.randn(replicas, tokens, w.shape[2]) for w in weights]

    def one_round() -> None:
        for _ in range(T):
            for x, w in zip(decode, weights, strict=True):
                torch.bmm(x, w)
        for x, w, g in zip(learn, weights, grads, strict=True):
            torch.bmm(x, w)
            torch.bmm(g, w.transpose(1, 2))
            torch.bmm(x.transpose(1, 2), g)

    one_round()
    barrier.wait()
    started = time.perf_counter()
    for _ in range(rounds):
        one_round()
    results.put((time.perf_counter() - started) / rounds)


def side_by_side(work, rounds: int) -> float:
    """Milliseconds of one replica-round when every process has its share of the replicas."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(PROCESSES, timeout=300), context.SimpleQueue()
    share = REPLICAS // PROCESSES
    children = [
        context.Process(target=work, args=(share, rounds, barrier, results), daemon=True)
        for _ in range(PROCESSES)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit(f"a benchmark process failed with exit code {child.exitcode}")
    return max(results.get() for _ in children) / REPLICAS * 1e3


def trl(python: str, rounds: int, threads: int) -> float:
    """Milliseconds of one round of TRL's trainer, in a process of TRL's own environment."""
    command = [python, str(Path(__file__).with_name("trl_round.py")), str(rounds), str(threads)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"TRL failed:\n{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["ms"])


def trl_pair(python: str, rounds: int) -> float:
    """Milliseconds a round when two trainers of one thread share the machine, as our two processes do."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        times = list(pool.map(lambda _: trl(python, 4 * rounds, 1), range(PROCESSES)))
    return statistics.mean(times) / PROCESSES


def install_trl() -> str:
    """A virtual environment with TRL that shares this environment's torch; returns its python."""
    folder = Path(tempfile.gettempdir()) / f"banditrft-{TRL.replace('=', '-')}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    import torch

    # every time: the folder outlives the environment that made it
    Path(site.strip(), "shared.pth").write_text(f"{Path(torch.__file__).parents[1]}\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", TRL], check=True)
    return str(python)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--trl-python", help="python of an environment with TRL")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    python = options.trl_python or install_trl()
    settings = ("ours", "floor", "trl, 1 thread", "trl, 2 threads", "trl, two trainers")
    found: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(3):
        found["ours"].append(side_by_side(ours, options.rounds))
        found["trl, 1 thread"].append(trl(python, options.rounds, 1))
        found["trl, 2 threads"].append(trl(python, options.rounds, 2))
        found["trl, two trainers"].append(trl_pair(python, options.rounds))
        found["floor"].append(side_by_side(products, options.rounds))
    middle = {name: statistics.median(values) for name, values in found.items()}
    best = min(middle["trl, 1 thread"], middle["trl, 2 threads"])
    for name, value in middle.items():
        print(f"{name:18} {value:7.2f} ms a round   ({', '.join(f'{v:.2f}' for v in found[name])})")
    print(f"one trainer        {best / middle['ours']:7.2f} x ours (TRL's faster setting)")
    pair = middle["trl, two trainers"] / middle["ours"]
    print(f"two trainers       {pair:7.2f} x ours (throughput of the machine)")
    print(f"above the floor    {middle['ours'] / middle['floor']:7.2f}")


if __name__ == "__main__":
    sys.exit(main())
