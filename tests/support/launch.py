"""Worlds that do what a test of executors wants to see; workers import them by name."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import time
from pathlib import Path

from banditrft.records import write_run
from sims.study import execute_all


def simulate_and_tell(folder, runs, report):
    """Simulates, and leaves a note of where."""
    note = {"pid": os.getpid(), "cores": sorted(os.sched_getaffinity(0))}
    note |= {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    path = Path(folder) / f"{runs[0].run_id}.json"
    tables = execute_all(runs, report)
    time.sleep(0.3)  # long enough that no worker could do all
    path.write_text(json.dumps(note))
    return tables


def first_worker_dies(marker, runs, report):
    """Simulates, but the first process that gets here is killed."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return execute_all(runs, report)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def placebo_kills(runs, report):
    """Simulates all but the placebo, which kills whoever takes it."""
    if runs[0].condition == "placebo":
        os.kill(os.getpid(), signal.SIGKILL)
    return execute_all(runs, report)


def placebo_fails(runs, report):
    """Simulates all but the placebo."""
    if runs[0].condition == "placebo":
        raise RuntimeError("no such drug")
    return execute_all(runs, report)


def placebo_exits(runs, report):
    """Simulates all but the placebo, where a library ends the process."""
    if runs[0].condition == "placebo":
        os._exit(3)
    return execute_all(runs, report)


def fill_the_disk(told, runs, report):
    """Simulates where no file may have more than 100 bytes, and says so."""
    told.append(runs[0].condition)
    made = execute_all(runs, report)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    return made


def move_the_folder(root, runs, report):
    """Simulates; the study's folder gets another name before the second condition is recorded."""
    made = execute_all(runs, report)
    if runs[0].condition == "G=4" and Path(root).exists():
        Path(root).rename(f"{root}-moved")
    return made


def lose_the_first(root, runs, report):
    """Simulates; before the last condition is recorded the records of the first disappear."""
    made = execute_all(runs, report)
    if runs[0].condition == "placebo":
        for path in sorted(Path(root).glob("*/run.json"))[:1]:
            shutil.rmtree(path.parent)
    return made


def overtaken(root, runs, report):
    """Fails since another process has recorded the runs and removed what this one was going on from."""
    for run, made in zip(runs, execute_all(runs, report), strict=True):
        write_run(Path(root), run, made, {})
    raise FileNotFoundError("state.json")


def first_trainer_dies(folder, runs, report):
    """Trains language models, but the first process to finish half the rounds is killed; fractions are noted."""
    from llm_runs.execution import execute

    def tell(fraction):
        with (Path(folder) / "told").open("a") as told:
            told.write(f"{os.getpid()} {fraction}\n")
        if fraction >= 0.5 and not (Path(folder) / "died").exists():
            (Path(folder) / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        report(fraction)

    return execute(runs, tell, training=Path(folder) / "runs")


def wait_for_ever(folder, runs, report):
    """Says who it is and never ends."""
    (Path(folder) / f"{os.getpid()}").touch()
    report(0.5)
    while True:
        time.sleep(0.1)


def meet(folder, runs, report):
    """Simulates once all ranks of the job have met: a gloo all-reduce of 1 + rank."""
    import torch
    from torch import distributed

    distributed.init_process_group("gloo")
    met = torch.tensor([1 + distributed.get_rank()])
    distributed.all_reduce(met)
    distributed.destroy_process_group()
    (Path(folder) / f"rank-{os.environ['LOCAL_RANK']}").write_text(str(int(met)))
    return execute_all(runs, report)


def second_rank_fails(runs, report):
    """The first rank waits for a second that fails."""
    if os.environ["RANK"] == "1":
        raise RuntimeError("out of breath")
    multiprocessing.Event().wait()
