"""One round of fine-tuning: ours against TRL's GRPOTrainer, same model, same number of tokens, same run.

    python benchmarks/llm_round.py [--shapes 1x4 32x8] [--repeats 3] [--trl-python PATH]

A round of tiny-qwen2 in float32: rollouts of exactly 24 new tokens (`<eos>` ends nothing on our side and is
never drawn on TRL's), rewards, group-centred signals, one Adam step, no gradient clipping, no KL. All
settings take turns, `--repeats` times; medians are compared. Times are of the wall; "cpu" is processor time
of one round of one process, which other work on the machine disturbs less.

1x4: one query, 4 rollouts. Ours are 16 replicas in two processes of 8, one thread each, and a round's time is
divided by 16. That is throughput; TRL's is the latency of one trainer, with one and with two threads. Two
trainers at once, one thread each, are TRL's throughput (their time is divided by 2).

32x8: 32 queries, 8 rollouts each, one replica. "Alone" is the latency of one process of one thread; "two at
once" are two processes, one thread each, divided by 2. "Natural" lets `<eos>` end our responses, so fewer
tokens are drawn and learned from: named apart, compared with nothing.

"Floor" is the time of the matrix products with weights alone, of the tokens that are really read: prompts
once and every response token but the last, forward when sampling, forward and twice backward when learning.
Attention's products, normalisation, softmax, random numbers and the optimiser are left out of it.

What this is not. TRL is a general trainer and at this model's size its time is overhead more than arithmetic;
it also keeps more metrics. The ratios say nothing about larger models.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

T, MODEL = 24, "tiny-qwen2"
LEARNING_RATE = 1e-4
WARM = 3
"""Rounds of ours that are not counted."""


class Shape(NamedTuple):
    """Queries, rollouts, replicas of one process, and rounds that are measured on either side."""

    Q: int
    G: int
    S: int
    ours: int
    trl: int


class Found(NamedTuple):
    """Milliseconds of a replica-round by the wall, of one process's processor, and response tokens."""

    wall: float
    cpu: float
    tokens: float


SHAPES = {"1x4": Shape(1, 4, 8, 30, 30), "32x8": Shape(32, 8, 1, 12, 12)}
Round = Callable[[int], int]


def our_round(shape: Shape, ends: tuple[int, ...]) -> Round:
    """A function that does round n of all replicas and returns the response tokens drawn."""
    import torch

    from banditrft.design import Design
    from banditrft.feedback import Feedback
    from banditrft.streams import Purpose
    from banditrft.worlds import LLMWorld
    from llm_runs.base_models import find_model
    from llm_runs.interfaces import Address, Batch, Limits, Prompts
    from llm_runs.rounds.grading import grade_samples
    from llm_runs.tasks import load_task
    from llm_runs.tiny.architecture import architecture_of, weights_of
    from llm_runs.tiny.engine import StackedEngine
    from llm_runs.tiny.learner import StackedLearner
    from llm_runs.tiny.network import stack
    from llm_runs.tokenizers import load_tokenizer

    Q, G, S = shape.Q, shape.G, shape.S
    task, model = load_task("arithmetic"), find_model(MODEL)
    tokenizer, grader = load_tokenizer(model.folder), task.grader()
    design = Design(batch_size=Q, rollouts=G, signal="centered", learning_rate=LEARNING_RATE, rounds=1)
    limits = Limits(task.prompt_max, T, 1.0, ends, tokenizer.pad)
    world = LLMWorld(model=MODEL, seeds=S)
    learner = StackedLearner(architecture_of(model), stack([weights_of(model)] * S), design, world, limits)
    engine, feedback = StackedEngine(architecture_of(model), limits), Feedback(design, S)
    items = [task.items("pool", Q)] * S
    prompts = Prompts(
        [[tokenizer.encode(item) for item in row] for row in items],
        [[item.index for item in row] for row in items],
    )
    engine.push(learner)

    def one_round(number: int) -> int:
        drawn = engine.sample(prompts, range(G), Address(0, range(S), Purpose.SAMPLE, number))
        graded = grade_samples(grader, tokenizer, items, drawn)
        signals = feedback.signals(graded.strict_SQG.astype(float))
        learner.step(Batch(prompts, drawn, torch.from_numpy(signals)))
        engine.push(learner)
        return int(drawn.lengths_SQG.sum())

    return one_round


def products(shape: Shape, tokens: float) -> Round:
    """A function that computes the matrix products of a round with so many response tokens per replica."""
    import torch

    from llm_runs.base_models import find_model
    from llm_runs.tasks import load_task
    from llm_runs.tiny.architecture import architecture_of

    arch = architecture_of(find_model(MODEL))
    W, F, HD, V = arch.width, arch.feed_forward, arch.heads * arch.head_dim, arch.vocabulary
    sizes = [(W, 3 * HD), (HD, W), (W, 2 * F), (F, W)] * arch.layers + [(W, V)]
    prompt = sum(len(item.prompt) for item in load_task("arithmetic").items("pool", shape.Q))
    later = round(tokens) - shape.Q * shape.G
    weights = [torch.randn(shape.S, k, n) for k, n in sizes]
    first = [torch.randn(shape.S, prompt, k) for k, _ in sizes]
    decode = [torch.randn(shape.S, max(1, round(later / (T - 1))), k) for k, _ in sizes]
    learn = [torch.randn(shape.S, prompt + later, k) for k, _ in sizes]
    grads = [torch.randn(shape.S, prompt + later, n) for _, n in sizes]

    def one_round(_: int) -> int:
        for inputs in (first, *[decode] * (T - 1)):
            for x, w in zip(inputs, weights, strict=True):
                torch.bmm(x, w)
        for x, w, g in zip(learn, weights, grads, strict=True):
            torch.bmm(x, w)
            torch.bmm(g, w.transpose(1, 2))
            torch.bmm(x.transpose(1, 2), g)
        return shape.S * round(tokens)

    return one_round


def child(make: Callable[[], Round], rounds: int, barrier, results) -> None:
    """One process: seconds of a round on both clocks, and its tokens."""
    import torch

    torch.set_num_threads(1)
    one_round = make()
    for number in range(WARM):
        one_round(number)
    barrier.wait()
    wall, cpu, tokens = time.perf_counter(), time.thread_time(), 0
    for number in range(WARM, WARM + rounds):
        tokens += one_round(number)
    took = (time.perf_counter() - wall, time.thread_time() - cpu, tokens)
    results.put([value / rounds for value in took])


def measured(make: Callable[[], Round], shape: Shape, processes: int) -> Found:
    """A replica-round when so many processes work at once, each on its own replicas."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes, timeout=300), context.SimpleQueue()
    children = [
        context.Process(target=child, args=(make, shape.ours, barrier, results), daemon=True)
        for _ in range(processes)
    ]
    for process in children:
        process.start()
    for process in children:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a benchmark process failed with exit code {process.exitcode}")
    wall, cpu, tokens = zip(*(results.get() for _ in children), strict=True)
    share = 1e3 / shape.S
    return Found(max(wall) * share / processes, statistics.mean(cpu) * share, tokens[0] / shape.S)


def trl(python: str, shape: Shape, threads: int, trainers: int = 1) -> Found:
    """A round of TRL's trainer in processes of its own; longer where several are to overlap."""
    rounds = shape.trl * (1 if trainers == 1 else 3)
    script = str(Path(__file__).with_name("trl_round.py"))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }

    def one(_: int) -> dict[str, float]:
        command = [python, script, str(shape.Q), str(rounds), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"TRL failed:\n{done.stderr[-3000:]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    with ThreadPoolExecutor(trainers) as pool:
        times = list(pool.map(one, range(trainers)))
    wall, cpu = (statistics.mean(time[clock] for time in times) for clock in ("wall", "cpu"))
    return Found(wall / trainers, cpu, shape.Q * shape.G * T)


def settings(name: str, python: str, natural: float) -> dict[str, Callable[[], Found]]:
    """What is measured of a shape, by name, in the order of the table."""
    shape = SHAPES[name]
    fixed, free = partial(our_round, shape, ()), partial(our_round, shape, (1,))
    floor = partial(products, shape, shape.Q * shape.G * T)
    theirs = {
        "TRL, 1 thread": partial(trl, python, shape, 1),
        "TRL, 2 threads": partial(trl, python, shape, 2),
        "TRL, two trainers": partial(trl, python, shape, 1, 2),
    }
    if shape.Q == 1:
        ours = {"ours": partial(measured, fixed, shape, 2), "floor": partial(measured, floor, shape, 2)}
        return {**ours, **theirs}
    return {
        "ours, alone": partial(measured, fixed, shape, 1),
        "ours, two at once": partial(measured, fixed, shape, 2),
        "floor, alone": partial(measured, floor, shape, 1),
        **theirs,
        "natural, alone": partial(measured, free, shape, 1),
        "natural, two at once": partial(measured, free, shape, 2),
        "natural floor, alone": partial(measured, partial(products, shape, natural), shape, 1),
    }


def natural_tokens(shape: Shape) -> float:
    """Mean response tokens of a round that ends where it ends."""
    one_round = our_round(shape, (1,))
    return statistics.mean(one_round(number) for number in range(WARM, WARM + shape.ours)) / shape.S


def show(name: str, found: dict[str, list[Found]]) -> None:
    """Print the table of one shape and its ratios."""
    middle = {key: statistics.median(one.wall for one in values) for key, values in found.items()}
    print(f"\n{name + ', ms a round':24} {'wall':>8} {'cpu':>8} {'tokens':>7}   each")
    for key, values in found.items():
        each = ", ".join(f"{one.wall:.2f}" for one in values)
        cpu = statistics.median(one.cpu for one in values)
        print(f"{key:24} {middle[key]:8.2f} {cpu:8.2f} {values[0].tokens:7.0f}   {each}")
    trainer = min(middle["TRL, 1 thread"], middle["TRL, 2 threads"])
    pair, single = middle["TRL, two trainers"], SHAPES[name].Q == 1
    alone, both = ("ours", "ours") if single else ("ours, alone", "ours, two at once")
    floor = middle["floor" if single else "floor, alone"]
    print(f"ours / one trainer (TRL's faster setting)  {middle[alone] / trainer:6.3f}")
    print(f"ours / TRL, both cores busy on both sides  {middle[both] / pair:6.3f}")
    print(f"ours / floor                               {middle[alone] / floor:6.2f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trl-python", default=sys.executable, help="python that has TRL [this one]")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"{MODEL}, {asked.repeats} repeats, load before {os.getloadavg()[0]:.1f}", flush=True)
    plans = {
        name: settings(name, asked.trl_python, natural_tokens(SHAPES[name]) if name == "32x8" else 0.0)
        for name in asked.shapes
    }
    found: dict[str, dict[str, list[Found]]] = {
        name: {key: [] for key in plan} for name, plan in plans.items()
    }
    for repeat in range(asked.repeats):
        for name, plan in plans.items():
            for key, measure in plan.items():
                found[name][key].append(measure())
                print(f"{repeat + 1}: {name} {key}: {found[name][key][-1].wall:.2f} ms", file=sys.stderr)
    for name in plans:
        show(name, found[name])


if __name__ == "__main__":
    main()
