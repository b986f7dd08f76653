"""Where runs execute: in this process, in local worker processes or on a Ray cluster.

Jobs are independent and their results do not depend on who computes them, so this package decides only
*where* and *when*. A job that fails is reported and does not stop the others.

- `banditrft.launch.jobs`: what a job is, executing and recording one, what an executor is;
- `banditrft.launch.resources`: what a job needs, and where that is free;
- `banditrft.launch.machine`, `banditrft.launch.workers`: what this machine has, and processes on it;
- `banditrft.launch.local`, `banditrft.launch.cluster`: the executors;
- `banditrft.launch.sweep`: what is missing of a study, run by an executor.
"""

from banditrft.launch.jobs import Execute, Executor, Job, Reevaluate, Report, in_shard, stack
from banditrft.launch.resources import Need
from banditrft.launch.sweep import EXECUTORS, JobsError, Outcome, choose_executor, launch

__all__ = [
    "EXECUTORS",
    "Execute",
    "Executor",
    "Job",
    "JobsError",
    "Need",
    "Outcome",
    "Reevaluate",
    "Report",
    "choose_executor",
    "in_shard",
    "launch",
    "stack",
]
