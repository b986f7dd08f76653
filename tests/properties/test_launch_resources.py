"""Where jobs go: never over memory, every job once, the same way every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditrft.errors import InputError
from banditrft.launch.resources import (
    Gpu,
    Need,
    Place,
    Room,
    fitted,
    give_back,
    largest_first,
    place,
    shared_cores,
    take,
)

GB = 10**9
NEEDS = st.builds(
    Need,
    memory=st.integers(0, 40 * GB),
    gpus=st.sampled_from([0, 1, 1, 1, 2]),
    gpu_memory=st.integers(0, 100 * GB),
    gpu_share=st.sampled_from([0.0, 0.45, 1.0]),
    fallback=st.sampled_from([None, Need(memory=GB)]),
)
ROOMS = st.builds(
    lambda slots, memory, gpus: Room(
        tuple(range(slots)), memory, memory, tuple(Gpu(str(g), held, held) for g, held in enumerate(gpus))
    ),
    st.integers(1, 6),
    st.integers(1, 64 * GB),
    st.lists(st.sampled_from([0, 24 * GB, 80 * GB]), min_size=2, max_size=4),
)


def schedule(needs, room, order):
    """Start what fits, end a running job of the test's choosing, and so on; every state and every place."""
    waiting = sorted(range(len(needs)), key=lambda j: largest_first(needs[j]))
    running, rooms, places = {}, [room], {}
    while waiting or running:
        for job in list(waiting):
            where = place(needs[job], room)
            if where is not None:
                assert job not in places
                waiting.remove(job)
                running[job] = places[job] = where
                room = take(needs[job], where, room)
                rooms.append(room)
        ended = sorted(running)[next(order) % len(running)]  # no job running would be a deadlock
        room = give_back(needs[ended], running.pop(ended), room)
    return room, rooms, places


def endless(numbers):
    while True:
        yield from numbers


@given(st.lists(NEEDS, min_size=1, max_size=12), ROOMS, st.lists(st.integers(0, 99), min_size=1))
def test_no_memory_is_held_twice_and_every_job_gets_a_place(needs, room, numbers):
    needs = [fitted(need, room) for need in needs]
    end, rooms, places = schedule(needs, room, endless(numbers))
    assert sorted(places) == list(range(len(needs)))
    assert end == room
    for state in rooms:
        assert state.free >= 0
        assert all(0 <= gpu.free <= gpu.memory for gpu in state.gpus)
        assert all(gpu.jobs <= 1 for gpu in state.gpus if gpu.memory == 0)
    assert all(len(set(places[j].gpus)) == need.gpus for j, need in enumerate(needs))


@given(st.lists(NEEDS, min_size=1, max_size=8), ROOMS, st.lists(st.integers(0, 99), min_size=1))
def test_places_are_a_function_of_what_happened(needs, room, numbers):
    needs = [fitted(need, room) for need in needs]
    assert schedule(needs, room, endless(numbers)) == schedule(needs, room, endless(numbers))


def gpus(*memory):
    return tuple(Gpu(str(g), held, held) for g, held in enumerate(memory))


def fill(need, room):
    places = []
    while (where := place(need, room)) is not None:
        places.append(where)
        room = take(need, where, room)
    return places


def test_small_runs_spread_over_gpus_before_they_share():
    room = Room(tuple(range(9)), GB, GB, gpus(80 * GB, 80 * GB))
    placed = fill(Need(gpus=1, gpu_memory=30 * GB), room)
    assert [where.gpus for where in placed] == [(0,), (1,), (0,), (1,)]  # two of 30 GB on each of 80


def test_a_run_of_two_gpus_takes_idle_ones_only():
    room = Room((0, 1, 2), GB, GB, gpus(80 * GB, 80 * GB, 80 * GB))
    small, large = Need(gpus=1, gpu_memory=GB), Need(gpus=2, gpu_memory=GB)
    room = take(small, Place(0, (1,)), room)
    assert place(large, room) == Place(1, (0, 2))
    assert place(large, take(small, Place(1, (0,)), room)) is None


def test_an_engines_share_of_a_gpu_counts_beside_the_runs_memory():
    need = Need(gpus=1, gpu_memory=4 * GB, gpu_share=0.45)
    assert need.on(80 * GB) == 40 * GB
    assert len(fill(need, Room(tuple(range(9)), GB, GB, gpus(80 * GB)))) == 2


def test_main_memory_bounds_the_number_of_runs():
    assert len(fill(Need(memory=3 * GB), Room(tuple(range(9)), 10 * GB, 10 * GB))) == 3


def test_an_estimate_above_the_machine_runs_alone():
    room = Room((0, 1), 10 * GB, 10 * GB, gpus(24 * GB))
    need = fitted(Need(memory=99 * GB, gpus=1, gpu_memory=99 * GB), room)
    assert (need.memory, need.on(24 * GB)) == (10 * GB, 24 * GB)
    assert fill(need, room) == [Place(0, (0,))]


def test_gpus_that_are_not_there():
    room = Room((0,), GB, GB)
    on_cpus = Need(memory=GB // 2)
    assert fitted(Need(gpus=1, gpu_memory=GB, gpu_share=0.5, fallback=on_cpus), room) == on_cpus
    with pytest.raises(InputError, match=r"^GPUs: a run needs 2, this machine offers 0$"):
        fitted(Need(gpus=2), room)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=64, unique=True), st.integers(1, 80))
def test_workers_have_cores_of_their_own_while_there_are_enough(cores, workers):
    shares = shared_cores(sorted(cores), workers)
    assert len(shares) == workers
    assert all(shares)
    if workers <= len(cores):
        assert sorted(core for share in shares for core in share) == sorted(cores)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    else:
        assert {core for share in shares for core in share} == set(cores)
