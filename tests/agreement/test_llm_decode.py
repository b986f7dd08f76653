"""The compiled attention of one new token equals torch's attention over the same keys and values."""

import pytest
import torch

from llm_runs.tiny.engine import attend_last

N, H, L, D = 5, 3, 12, 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at", [4, 7, 11])
def test_equals_torch(dtype, at):
    draw = torch.Generator().manual_seed(at)
    keys, values = (torch.randn(N, H, L, D, dtype=dtype, generator=draw) for _ in range(2))
    q, k, v = (torch.randn(N, H, D, dtype=dtype, generator=draw) for _ in range(3))
    first, alive = torch.tensor([0, 3, 1, 4, 2]), torch.tensor([True, True, False, True, True])
    wanted_keys, wanted_values = keys.clone(), values.clone()
    wanted_keys[alive, :, at], wanted_values[alive, :, at] = k[alive], v[alive]
    seen = (torch.arange(L) >= first[:, None]) & (torch.arange(L) <= at)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        q[:, :, None], wanted_keys, wanted_values, attn_mask=seen[:, None, None]
    )[:, :, 0]
    out = torch.full((N, H, D), 7.0, dtype=dtype)
    arrays = [x.numpy() for x in (q, k, v, keys, values, first)]
    attend_last(*arrays, at, alive.numpy(), out.numpy())
    torch.testing.assert_close(out[alive], wanted[alive], rtol=0, atol=1e-6)
    assert (out[~alive] == 7.0).all()
    assert torch.equal(keys, wanted_keys)
    assert torch.equal(values, wanted_values)
