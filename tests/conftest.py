"""Shared by all tests: one thread for each worker's arithmetic, whole files per worker, the slowest files first.

A worker takes whole files, so that a file's fixtures are made once. The files that start vLLM ("vllm" in their
names) are one unit: a process keeps one engine, and all of them use it.
"""

import os
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; the workers share the cores

settings.register_profile(
    "exact", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
settings.load_profile("exact")


def unit(nodeid: str) -> str:
    """What one worker runs together: the test's file, or all files of vLLM."""
    path = nodeid.partition("::")[0]
    return "vllm" if "vllm" in path.rpartition("/")[2] else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the units that take longest first, by the seconds of `slow`, so that the workers end together."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for item in items:
        if mark := item.get_closest_marker("slow"):
            seconds[unit(item.nodeid)] = max(seconds[unit(item.nodeid)], *mark.args)
    items.sort(key=lambda item: -seconds[unit(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Units in the order of the tests, under any --dist."""
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit(nodeid)

    config.option.loadscopereorder = False  # xdist's own order is by the number of tests
    return Units(config, log)
