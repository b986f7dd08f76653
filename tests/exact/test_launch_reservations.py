"""What tasks reserve of a cluster, what nvidia-smi's list says."""

import os

import pytest

from banditrft.errors import InputError
from banditrft.launch.cluster import Node, reservation
from banditrft.launch.machine import free_memory, parse_gpus
from banditrft.launch.resources import Gpu, Need

GIB = 2**30
LISTED = """\
0, GPU-8f5c9a7e-0000-0000-0000-000000000000, 80994
1, GPU-8f5c9a7e-1111-1111-1111-111111111111, 1024
"""


def test_a_run_without_gpus_reserves_cpus_and_memory():
    reserved = reservation(Need(cpus=2, memory=3 * GIB), [Node(8, 64 * GIB)])
    assert reserved == {"num_cpus": 2, "memory": 3 * GIB}


def test_a_fraction_of_a_gpu_is_the_memory_it_takes_of_the_smallest():
    nodes = [Node(8, 64 * GIB, 4, 80 * GIB), Node(8, 64 * GIB, 8, 24 * GIB)]
    reserved = reservation(Need(gpus=1, gpu_memory=8 * GIB), nodes)
    assert reserved["num_gpus"] == pytest.approx(1 / 3, abs=1e-4)
    assert reserved["num_gpus"] * 24 * GIB >= 8 * GIB


@pytest.mark.parametrize(
    ("need", "gpus"),
    [
        (Need(gpus=1, gpu_memory=200 * GIB), 1),  # an estimate above every GPU: one as a whole
        (Need(gpus=1), 1),
        (Need(gpus=2, gpu_memory=GIB), 2),
        (Need(gpus=1, gpu_memory=10 * GIB, gpu_share=0.5), 0.625),
    ],
)
def test_whole_gpus_and_shares(need, gpus):
    assert reservation(need, [Node(8, 64 * GIB, 4, 80 * GIB)])["num_gpus"] == gpus


def test_a_gpu_of_unknown_memory_is_reserved_whole():
    assert reservation(Need(gpus=1, gpu_memory=GIB), [Node(8, GIB, 1, 0)])["num_gpus"] == 1


def test_no_task_reserves_more_than_the_largest_node_has():
    reserved = reservation(Need(cpus=99, memory=99 * GIB), [Node(2, 4 * GIB), Node(8, 2 * GIB)])
    assert reserved == {"num_cpus": 8, "memory": 4 * GIB}


def test_a_cluster_without_gpus():
    assert reservation(Need(gpus=1, gpu_memory=GIB, fallback=Need()), [Node(2)]) == {"num_cpus": 1}
    with pytest.raises(InputError, match="a run needs 1, no node of the cluster offers more than 0"):
        reservation(Need(gpus=1), [Node(2)])
    with pytest.raises(InputError, match="a run needs 4, no node of the cluster offers more than 2"):
        reservation(Need(gpus=4, fallback=Need()), [Node(8, gpus=2)])


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
    ],
)
def test_gpus_that_a_process_may_use(visible, names):
    assert [gpu.name for gpu in parse_gpus(LISTED, visible)] == names


def test_gpus_by_uuid_and_slices():
    uuid = "GPU-8f5c9a7e-1111-1111-1111-111111111111"
    assert parse_gpus(LISTED, uuid) == (Gpu(uuid, GIB, GIB),)
    assert parse_gpus(LISTED, "MIG-3") == (Gpu("MIG-3", 0, 0),)


def test_free_memory_is_some_of_what_there_is():
    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
