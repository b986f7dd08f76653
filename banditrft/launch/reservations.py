"""What a task reserves of a cluster: the same needs as on one machine, in a cluster's own units.

A cluster places a task where CPUs, main memory and GPUs are not reserved by others; of a GPU it can reserve a
fraction, which is the memory that a run needs over the memory of the smallest GPU it may come to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from banditrft.errors import InputError
from banditrft.launch.resources import Need

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
