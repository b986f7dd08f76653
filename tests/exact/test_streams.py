"""Every random number has an address: the streams are numpy's Philox, and nothing but the address matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banditrft.errors import InputError
from banditrft.streams import Purpose, generator, uniforms

ADDRESS = {
    "root_seed": st.integers(0, 2**63 - 1),
    "seed": st.integers(0, 2**31 - 1),
    "item": st.integers(0, 2**40),
    "round_": st.integers(0, 2**31 - 1),
    "rollout": st.integers(0, 4000),
    "purpose": st.sampled_from(list(Purpose)),
}


@given(count=st.integers(1, 30), **ADDRESS)
def test_uniforms_are_numpys_philox(root_seed, seed, item, round_, rollout, purpose, count):
    ours = uniforms(root_seed, [seed], [item], purpose, round_, [rollout], count)[0, 0]
    words = generator(root_seed, seed, item, purpose, round_, rollout).bit_generator.random_raw(count)
    np.testing.assert_array_equal(ours, (words >> np.uint64(11)) * 2.0**-53)
    assert ((ours >= 0) & (ours < 1)).all()


def test_a_number_does_not_depend_on_what_is_stacked_with_it():
    stacked = uniforms(7, [1, 2, 3], [5, 6, 7], Purpose.SAMPLE, 9, 4, 24)
    alone = uniforms(7, [2], [6], Purpose.SAMPLE, 9, [3], 10)
    np.testing.assert_array_equal(stacked[1, 3, :10], alone[0, 0])


def test_rollouts_may_differ_between_replicas():
    together = uniforms(7, [1, 2], [5, 6], Purpose.SAMPLE, 9, np.array([[3, 0], [8, 3]]), 10)
    alone = [
        uniforms(7, [seed], [item], Purpose.SAMPLE, 9, rollouts, 10)[0]
        for seed, item, rollouts in ((1, 5, [3, 0]), (2, 6, [8, 3]))
    ]
    np.testing.assert_array_equal(together, alone)


def test_every_part_of_the_address_matters():
    base = uniforms(1, [2], [3], Purpose.SAMPLE, 4, [5], 8)
    others = [
        uniforms(2, [2], [3], Purpose.SAMPLE, 4, [5], 8),
        uniforms(1, [3], [3], Purpose.SAMPLE, 4, [5], 8),
        uniforms(1, [2], [4], Purpose.SAMPLE, 4, [5], 8),
        uniforms(1, [2], [3], Purpose.REWARD, 4, [5], 8),
        uniforms(1, [2], [3], Purpose.SAMPLE, 5, [5], 8),
        uniforms(1, [2], [3], Purpose.SAMPLE, 4, [6], 8),
    ]
    assert all(not np.intersect1d(base, other).size for other in others)


def test_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed: must be at least 0"):
        generator(0, -1, 0, Purpose.SAMPLE)


@pytest.mark.parametrize("root_seed", [-1, 2**63, 10**26])
def test_a_root_seed_out_of_range_is_refused(root_seed):
    with pytest.raises(InputError, match=r"root_seed: must lie in \[0, 2\*\*63\)"):
        uniforms(root_seed, [0], [0], Purpose.SAMPLE, 0, 1, 1)
    with pytest.raises(InputError, match=r"root_seed: must lie in \[0, 2\*\*63\)"):
        generator(root_seed, 0, 0, Purpose.SAMPLE)
