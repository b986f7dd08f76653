"""The one vLLM engine of a process: started, kept for the next job, given its weights, put to sleep.

Starting vLLM takes seconds, so a started engine stays, and the jobs of a process use it one after the other:
`start` returns the one that runs if all its settings are those asked for, and otherwise closes it and starts
another; there are never two. Which weights it holds is written on it (`holds`), so that no job can sample
with another's. What is sampled, with which seeds, is `llm_runs.engines.vllm`; this file is all that belongs
to the process rather than to a job.

Starting vLLM does things to the process around it. How it is kept from them stands at the end of this file;
every entry says what happens without it, and all are of the release named in `NEEDED`.

vLLM is imported when the first engine starts. On a GPU (tensor parallelism, sleep and
wake, CUDA graphs) nothing of this file has been run yet.
"""

from __future__ import annotations

import gc
import importlib.metadata
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from banditrft.errors import InputError

NEEDED = "0.32"
"""The release of vLLM that is supported, patch releases included: pushing weights uses what changes often."""
INSTALL = 'on a machine with a GPU: pip install "banditrft[vllm]"; without: make test installs a CPU build'
BLOCK = 32
"""Tokens of a block of the prefix cache on CPU; its attention takes multiples of 32."""
CPU_CACHE = (2**26, 2**32)
"""Least and most memory for keys and values on CPU, bytes."""

ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # processes are pinned by the executor, not by vLLM
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would inherit this process's group of ranks
}
"""Set where the user has set nothing else."""
SCANNED = "llvmlite.binding.ffi"


@dataclass(frozen=True)
class Settings:
    """Everything that a running engine cannot change.

    Attributes:
        folder: The model, in transformers' format.
        dtype: Of weights, activations and cache: "float32" or "bfloat16".
        rows: Responses computed at once.
        tokens: Longest sequence, prompt and response.
        device: "auto", "cpu" or "cuda"; vLLM is built for one of them.
        gpu_memory: Share of a GPU's memory, weights included.
        tensor_parallel: GPUs of the engine.
        cache_bytes: Memory for keys and values on CPU.
        apart: Compute in another process, since this one belongs to a process group of torch's own.
    """

    folder: Path
    dtype: str
    rows: int
    tokens: int
    device: str = "auto"
    gpu_memory: float = 0.45
    tensor_parallel: int = 1
    cache_bytes: int = CPU_CACHE[0]
    apart: bool = False


def installed_version() -> str | None:
    """Version of the installed vLLM, whichever way it was built; None where there is none."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def check_version(version: str | None) -> None:
    """Check a version of vLLM.

    Raises:
        InputError: vLLM is not installed (None), or is not of the supported release.
    """
    if version is None:
        raise InputError(f"engine: 'vllm' needs vLLM {NEEDED}, which is not installed ({INSTALL})")
    if version.split("+")[0].split(".")[:2] != NEEDED.split("."):
        raise InputError(f"engine: vLLM {NEEDED} is needed, got {version} ({INSTALL})")


class Server:
    """A running vLLM engine; made by `start`.

    Attributes:
        settings: What it was started with.
        holds: What its weights are, as whoever loaded them calls it; None after the start.
    """

    def __init__(self, settings: Settings) -> None:
        with contained():
            import vllm
            from vllm.platforms import current_platform

            keep_model_classes()
            inspect_here()
            self.on_gpu = bool(current_platform.is_cuda())
            self.check_device(settings)
            self.llm = vllm.LLM(str(settings.folder), **self._arguments(settings))
        self.settings = settings
        self.holds: object = None
        self.asleep = False

    def check_device(self, settings: Settings) -> None:
        """Raise InputError where settings ask for a device that this vLLM is not built for."""
        built = "cuda" if self.on_gpu else "cpu"
        if settings.device not in ("auto", built):
            raise InputError(f"device: this vLLM is built for {built}, got {settings.device!r}")
        if settings.tensor_parallel > 1 and not self.on_gpu:
            raise InputError(f"tensor_parallel: needs GPUs, got {settings.tensor_parallel} on CPU")

    def _arguments(self, settings: Settings) -> dict[str, Any]:
        shared = {
            "dtype": settings.dtype,
            "max_num_seqs": settings.rows,
            "max_model_len": settings.tokens,
            "skip_tokenizer_init": True,
            "generation_config": "vllm",  # no temperature or top-k of the model's own
            "logprobs_mode": "processed_logprobs",  # of the distribution drawn from: logits / temperature
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if settings.apart:
            shared["distributed_executor_backend"] = "mp"
        if self.on_gpu:
            return shared | {
                "gpu_memory_utilization": settings.gpu_memory,
                "tensor_parallel_size": settings.tensor_parallel,
                "enable_sleep_mode": True,
            }
        return shared | {
            "kv_cache_memory_bytes": settings.cache_bytes,
            "block_size": BLOCK,
            "enforce_eager": True,
        }

    def _uncompiled(self) -> AbstractContextManager[Any]:
        """On CPU nothing is compiled while sampling: no compiler is needed and no seconds are lost."""
        return nullcontext() if self.on_gpu else torch.compiler.set_stance("force_eager")

    def load(self, weights: Iterable[tuple[str, Tensor]], called: object) -> None:
        """Take over weights under transformers' names, and forget all cached keys and values.

        Args:
            weights: All of the model's weights.
            called: What `holds` shall say.
        """
        self.wake()
        self.holds = None
        if self.settings.tensor_parallel == 1 and not self.settings.apart:
            self._reload(weights_iterator=iter(list(weights)), is_checkpoint_format=True)
        else:
            self._load_file(weights)
        if not self.llm.reset_prefix_cache():
            raise RuntimeError("vLLM did not reset its prefix cache: requests are still running")
        self.holds = called

    def _load_file(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Load through a file, of which processes that compute apart each read their share."""
        from safetensors.torch import save_file

        with tempfile.TemporaryDirectory(prefix="banditrft-weights-") as folder:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights}
            save_file(tensors, Path(folder) / "model.safetensors")
            self._reload(weights_path=folder)

    def _reload(self, **how: Any) -> None:
        with self._uncompiled():
            self.llm.collective_rpc("reload_weights", kwargs=how)

    def generate(self, prompts: Sequence[Sequence[int]], parameters: Sequence[Any]) -> list[Any]:
        """One completion (vLLM's CompletionOutput) per prompt and sampling parameters."""
        self.wake()
        with self._uncompiled():
            outputs = self.llm.generate(
                [{"prompt_token_ids": list(ids)} for ids in prompts], list(parameters), use_tqdm=False
            )
        return [output.outputs[0] for output in outputs]

    def sleep(self) -> None:
        """Give the GPU's memory to the learner: weights move to main memory, cached keys and values go."""
        if self.on_gpu and not self.asleep:
            self.llm.sleep(level=1)
            self.asleep = True

    def wake(self) -> None:
        """Take the GPU's memory back."""
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False

    def close(self) -> None:
        """Stop the engine and release its memory."""
        from vllm.distributed import cleanup_dist_env_and_memory

        self.llm.llm_engine.engine_core.shutdown()
        del self.llm
        gc.collect()
        cleanup_dist_env_and_memory()


_running: list[Server] = []


def start(settings: Settings) -> Server:
    """The engine with these settings: the running one if it has them, otherwise a new one in its place.

    Raises:
        InputError: vLLM is missing, of another release, built for another device, or cannot serve the model.
    """
    check_version(installed_version())
    if _running and _running[0].settings == settings:
        return _running[0]
    if _running:
        _running[0].check_device(settings)
    stop()
    try:
        _running.append(Server(settings))
    except InputError:
        raise
    except (ValueError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"engine: vLLM cannot serve {settings.folder} ({reason})") from error
    return _running[0]


def stop() -> None:
    """Close the running engine, if there is one."""
    while _running:
        _running.pop().close()


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
    long as the start. It does so lest CUDA be initialised here; it may be, since the engine, or the learner,
    computes here.
    """
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda question: question()
