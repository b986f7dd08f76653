"""What starting vLLM would do to the process around it, and how it is kept from that.

Every entry says what happens without it; all are of the release named in `vllm_server.NEEDED`.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # processes are pinned by the executor, not by vLLM
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would inherit this process's group of ranks
}
"""Set where the user has set nothing else."""
SCANNED = "llvmlite.binding.ffi"


@contextmanager
def contained() -> Iterator[None]:
    """Start vLLM inside this, its first import included."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # in this process: weights are handed over as tensors
    set_threads, threads = torch.set_num_threads, torch.get_num_threads()
    with warnings.catch_warnings():  # about attributes that the scan below touches
        warnings.simplefilter("ignore", FutureWarning)
        # Without Triton for CPUs vLLM looks through every loaded module for kernels, and stumbles over the
        # library object of llvmlite (Numba's), which claims to have any attribute.
        hidden = sys.modules.pop(SCANNED, None)
        try:
            yield
        finally:
            if hidden is not None:
                sys.modules[SCANNED] = hidden
            # vLLM makes this function do nothing, and learners choose their threads.
            torch.set_num_threads = set_threads
            torch.set_num_threads(threads)


def keep_model_classes() -> None:
    """Keep vLLM from changing transformers' classes: the learner's models are of them.

    Architectures that vLLM has no code for run through transformers' own; vLLM would add a base class to it
    whose instances cannot be made outside vLLM.
    """
    from vllm.model_executor.models.transformers import base

    base.Base._decorate_for_torch_compile = lambda self: None


def inspect_here() -> None:
    """Look at a model's class in this process, which imports it next anyway.

    A class that it has not seen on this machine vLLM would import in a process of its own, which takes as
    long as the start. It does so lest CUDA be initialised here; it may be, since the engine, or the learner
    beside it, computes here.
    """
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda question: question()
