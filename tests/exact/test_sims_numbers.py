"""The simulator's own random numbers and exponentials against independent references; what its caches depend on."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import sims
from banditrft.streams import Purpose, generator, uniforms
from sims.compiled import exponential, philox
from sims.compiled.jit import sources
from sims.lumped.kernel import run_replicates

CASES = [(0, 0, 0, 1, 1, 1), (7, 3, 0, 1, 9, 4), (2**63 - 1, 2**40, 11, 9, 2**31 - 9, 3)]


@numba.njit
def one_block(k0: int, k1: int, c0: int, c1: int, c2: int, c3: int) -> tuple[int, int, int, int]:
    return philox.block(
        np.uint64(k0), np.uint64(k1), np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    )


@pytest.mark.parametrize("counter", [1, 2**64 - 1, 2**64, 12345678901234567890123456789012345678, 2**256 - 1])
def test_block_is_numpys_philox(counter: int) -> None:
    key = (0x123456789ABCDEF, 2**64 - 3)
    words = [(counter >> (64 * i)) & (2**64 - 1) for i in range(4)]
    reference = np.random.Philox(key=key[0] | key[1] << 64, counter=(counter - 1) % 2**256).random_raw(4)
    assert list(one_block(*(np.uint64(k) for k in key), *(np.uint64(w) for w in words))) == reference.tolist()


@pytest.mark.parametrize(("root", "seed", "item", "purpose", "first", "G"), CASES)
def test_pulls_are_the_streams_uniforms(
    root: int, seed: int, item: int, purpose: int, first: int, G: int
) -> None:
    out = np.empty((5 * G, 4))
    philox.fill_pulls(out, 5, root, seed, item, purpose, first, G)
    for t in range(5):
        reference = uniforms(root, [seed], [item], Purpose(purpose), first + t, G, 4)[0]
        np.testing.assert_array_equal(out[t * G : (t + 1) * G], reference)


def test_a_pull_is_the_head_of_numpys_stream() -> None:
    out = np.empty((6, 4))
    philox.fill_pulls(out, 3, 5, 17, 0, int(Purpose.SAMPLE), 3, 2)
    numbers = generator(5, 17, 0, Purpose.SAMPLE, 4, 1).random(4)
    np.testing.assert_array_equal(out[3], numbers)


@pytest.mark.parametrize("samples", [1, 4, 5, 64])
def test_binomial_counts_the_streams_uniforms(samples: int) -> None:
    seeds, rounds = np.array([4, 9]), np.array([0, 5, 400])
    p = np.random.default_rng(0).random((2, 3))
    counts = np.empty((2, 3), np.int64)
    philox.binomials(3, seeds, rounds, int(Purpose.EVAL_TRAIN), samples, p, counts)
    for e, round_ in enumerate(rounds):
        u = uniforms(3, seeds, [0, 0], Purpose.EVAL_TRAIN, int(round_), 1, samples)[:, 0]
        np.testing.assert_array_equal(counts[:, e], (u < p[:, e, None]).sum(axis=1))


def test_binomial_counts_of_certain_outcomes() -> None:
    counts = np.empty((1, 2), np.int64)
    philox.binomials(1, np.array([1]), np.array([0, 1]), 3, 512, np.array([[0.0, 1.0]]), counts)
    assert counts.tolist() == [[0, 512]]


SERIES = {"series5": exponential.TINY, "series13": np.log(2) / 2, "exp": 700.0}


@pytest.mark.parametrize("name", SERIES)
def test_exponentials_are_exact_to_one_unit(name: str) -> None:
    function, bound = getattr(exponential, name), SERIES[name]
    offset = 0.0 if name == "exp" else 1.0

    @numba.njit
    def over(x: np.ndarray, out: np.ndarray) -> None:
        for i in range(len(x)):
            out[i] = function(x[i])

    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.uniform(-bound, bound, 200_000), rng.uniform(-1, 1, 50_000) * min(1, bound), [0.0]]
    )
    x = np.concatenate([x, x * 2.0 ** -rng.integers(0, 60, len(x))])
    got = np.empty_like(x)
    over(x, got)
    wide = x.astype(np.longdouble)
    if name == "exp":
        error = np.abs(got / np.exp(wide) - 1)
    else:  # e^x - 1 is used as w + w (e^x - 1), so what counts is its error relative to e^x
        error = np.abs(got - np.expm1(wide)) / np.exp(wide)
        assert np.all(np.abs(offset + got - np.exp(x)) <= 2.0**-52 * np.exp(x))
    assert float(error.max()) < 2.0**-52


def compiled_functions() -> list[Any]:
    """Every kernel of the package, by module and name."""
    found: dict[int, Any] = {}
    for module in pkgutil.walk_packages(sims.__path__, "sims."):
        of = vars(importlib.import_module(module.name)).values()
        found |= {id(f): f for f in of if isinstance(f, Dispatcher) and f.py_func.__module__ == module.name}
    return list(found.values())


def test_a_kernels_cache_knows_every_file_that_it_is_compiled_from() -> None:
    kernels = compiled_functions()
    assert len(kernels) > 80
    for kernel in kernels:
        known = sources(Path(inspect.getfile(kernel.py_func)))
        for name in kernel.py_func.__code__.co_names:
            called = kernel.py_func.__globals__.get(name)
            if isinstance(called, Dispatcher):
                assert Path(inspect.getfile(called.py_func)) in known, (kernel, name)


def test_a_file_that_no_kernel_is_compiled_from_leaves_their_caches_valid() -> None:
    known = {path.stem for path in sources(Path(run_replicates.py_func.__code__.co_filename))}
    assert known >= {"kernel", "slots", "updates", "philox", "exponential", "jit"}
    assert not known & {"simulator", "learner", "study", "tables", "steps", "tabled", "evaluation", "style"}
