"""Jobs as tasks of a Ray cluster: an existing one, or one that is started on this machine.

Each job is a task that reserves what it needs, a fraction of a GPU included, and records its own runs; so the
study's folder and the folder the launch was typed in must lie on a file system that all nodes share under the
same path. A cluster places a task where CPUs, main memory and GPUs are not reserved by others; of a GPU it
can reserve a fraction, which is the memory that a run needs over the memory of the smallest GPU it may come
to. A task whose worker or node is lost is tried again and goes on from the run's last checkpoint. Ray
is imported here only.
"""

import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from banditrft.errors import InputError
from banditrft.launch import machine
from banditrft.launch.jobs import POLL_S, RETRIES, Advance, Job, Results, Work, environment, single_threaded
from banditrft.launch.resources import Need
from banditrft.launch.workers import attempt
from banditrft.parts import HERE, parts, sweep_parts

STEPS = 10_000
"""Fractions of a GPU are reserved in steps of 1/STEPS."""


@dataclass(frozen=True)
class Node:
    """A machine of a cluster.

    Attributes:
        cpus: CPUs that tasks may reserve.
        memory: Main memory that they may reserve, bytes.
        gpus: GPUs.
        gpu_memory: Memory of its smallest GPU, bytes; 0 is unknown.
    """

    cpus: float
    memory: int = 0
    gpus: int = 0
    gpu_memory: int = 0


def reservation(need: Need, nodes: Sequence[Node]) -> dict[str, float]:
    """What the task of a job reserves, as ``num_cpus``, ``num_gpus`` and ``memory``.

    No more than the largest node has, since a task that fits nowhere would wait for ever.

    Raises:
        InputError: No node has the GPUs that the job must have.
    """
    able = [node for node in nodes if node.gpus >= need.gpus]
    if not able or (need.gpus and not any(node.gpus for node in able)):
        most = max((node.gpus for node in nodes), default=0)
        if need.fallback is None or most:
            raise InputError(f"GPUs: a run needs {need.gpus}, no node of the cluster offers more than {most}")
        need, able = need.fallback, list(nodes)
    reserved: dict[str, float] = {"num_cpus": min(need.cpus, max((node.cpus for node in able), default=1))}
    if need.gpus:
        reserved["num_gpus"] = need.gpus if need.gpus > 1 else _fraction(need, able)
    memory = min(need.memory, max((node.memory for node in able), default=0))
    if memory:
        reserved["memory"] = memory
    return reserved


def _fraction(need: Need, nodes: Sequence[Node]) -> float:
    """The largest share that the job would hold of any of the nodes' GPUs, rounded up."""
    if any(node.gpu_memory == 0 for node in nodes):
        return 1.0
    share = max(need.on(node.gpu_memory) / node.gpu_memory for node in nodes)
    return math.ceil(share * STEPS) / STEPS


INSTALL = "pip install 'banditrft[ray]'"
STORE_BYTES = 2**27
"""Shared memory of a cluster started here, which carries jobs and no records."""
CONNECT_S = 10.0
"""Seconds to wait for a cluster's head to answer."""
PROBE_S = 60.0
"""Seconds to wait for what a node says of its GPUs."""
GRACE_S = 10.0
"""Seconds that the tasks of an interrupted launch get to die."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster.

    Attributes:
        address: Cluster to join, as ``ray.init`` takes it ("auto", "host:port"); by default the one in the
            variable RAY_ADDRESS, else one is started here and stopped at the end.
        workers: Most jobs at a time; all CPUs of the cluster by default.

    Raises:
        InputError: Ray is not installed.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if find_spec("ray") is None:
            raise InputError(f"executor: ray is not installed here; {INSTALL}")

    def run(self, work: Work, jobs: Sequence[Job], advance: Advance) -> Results:
        """Run every job and yield each as it ends.

        Raises:
            InputError: There is no cluster at the address, or it lacks the GPUs that a job must have.
        """
        if not jobs:
            return
        import ray

        work = replace(work, root=work.root.resolve())
        try:
            with _connected(ray, self.address or os.environ.get("RAY_ADDRESS"), self.workers):
                yield from _tasks(ray, work, jobs, self.workers or len(jobs), advance)
        finally:
            _sweep_when_dead(work.root)


@contextmanager
def _connected(ray: Any, address: str | None, workers: int | None) -> Iterator[None]:
    """Join a cluster or start one, and leave it, which ends the tasks that still run.

    A caller's own connection is used and left open; so are then the tasks of an interrupted launch.
    """
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"configure_logging": True, "logging_level": "error", "log_to_driver": False}
    if address is None or address == "local":
        cores = workers or len(os.sched_getaffinity(0))
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
        options["object_store_memory"] = STORE_BYTES
    else:
        _refuse_silent(address)
        options["address"] = address
    with environment(QUIET | single_threaded()):
        try:
            ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise InputError(f"ray-address: no Ray cluster at {address} ({first})") from None
        try:
            yield
        finally:
            ray.shutdown()


def _sweep_when_dead(root: Path) -> None:
    """Remove what tasks on this host left half-written, once their processes are gone."""
    deadline = time.monotonic() + GRACE_S
    sweep_parts(root)
    while any(f".{HERE}." in part.name for part in parts(root)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
        sweep_parts(root)


def _refuse_silent(address: str) -> None:
    """Refuse a host and port that nothing listens at, for which Ray would wait minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        except OSError as error:
            raise InputError(f"ray-address: no Ray cluster at {address} ({error})") from None


def _tasks(ray: Any, work: Work, jobs: Sequence[Job], most: int, advance: Advance) -> Results:
    """Keep at most so many tasks submitted, and yield their jobs as they end."""
    nodes = _nodes(ray, gpus=any(job.need.gpus for job in jobs))
    reserved = {job: reservation(job.need, nodes) for job in jobs}
    on_cpus = ray.remote(max_retries=RETRIES)(_in_task)
    on_gpus = ray.remote(num_gpus=1, max_calls=1, max_retries=RETRIES)(_in_task)  # its process frees the GPU
    reports = ray.remote(num_cpus=0)(_Reports).remote()
    shared, folder = ray.put(work), str(Path.cwd())
    waiting = list(reversed(jobs))
    pending: dict[Any, Job] = {}
    while waiting or pending:
        while waiting and len(pending) < most:
            job = waiting.pop()
            task = on_gpus if "num_gpus" in reserved[job] else on_cpus
            pending[task.options(**reserved[job]).remote(shared, job, reports, folder)] = job
        done, _ = ray.wait(list(pending), timeout=POLL_S)
        for label, fraction in _reported(ray, reports):
            advance(label, fraction)
        for ref in done:
            yield pending.pop(ref), _outcome(ray, ref)


def _nodes(ray: Any, *, gpus: bool) -> list[Node]:
    """The cluster's nodes; what their GPUs hold is asked of them only when GPUs are wanted."""
    found = []
    for node in ray.nodes():
        has = node["Resources"]
        if not node["Alive"] or not has.get("CPU"):
            continue
        count = int(has.get("GPU", 0)) if gpus else 0
        held = _gpu_memory(ray, node["NodeID"]) if count else 0
        found.append(Node(has["CPU"], int(has.get("memory", 0)), count, held))
    return found


def _gpu_memory(ray: Any, node: str) -> int:
    """Memory of a node's smallest GPU, bytes; 0 where it does not say."""
    there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
    asked = ray.remote(num_cpus=0, scheduling_strategy=there)(machine.gpus).remote(visible=None)
    try:
        return min((gpu.memory for gpu in ray.get(asked, timeout=PROBE_S)), default=0)
    except ray.exceptions.RayError:
        return 0


def _outcome(ray: Any, ref: Any) -> str | None:
    try:
        error: str | None = ray.get(ref)
    except ray.exceptions.RayError as lost:
        return f"{type(lost).__name__}: {(str(lost).splitlines() or [''])[0]}"
    return error


def _reported(ray: Any, reports: Any) -> list[tuple[str, float]]:
    """Progress since the last look; none once the node that held it is lost, which concerns no job."""
    try:
        found: list[tuple[str, float]] = ray.get(reports.take.remote())
    except ray.exceptions.RayError:
        return []
    return found


class _Reports:
    """An actor that holds the progress reported since the driver last looked."""

    def __init__(self) -> None:
        self._latest: dict[str, float] = {}

    def put(self, label: str, fraction: float) -> None:
        self._latest[label] = fraction

    def take(self) -> list[tuple[str, float]]:
        latest, self._latest = self._latest, {}
        return list(latest.items())


def _in_task(work: Work, job: Job, reports: Any, folder: str) -> str | None:
    os.chdir(folder)  # paths in a study file are relative to where the launch was typed
    label = job.label()
    return attempt(work, job, lambda fraction: reports.put.remote(label, fraction) and None)
