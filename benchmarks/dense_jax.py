"""The dense bandit of `dense.py` in JAX; a program of its own, for an environment that has JAX.

    python benchmarks/dense_jax.py K CORRECT RATE REPLICATES ROUNDS REPEATS

CORRECT is the number of arms that pay 1, or -1 where every arm pays with probability one half. Float64 on one
core. Two versions: all replicates at once (``vmap``, where an update of zero is computed all the same), and
one after another (``lax.map``, where ``cond`` skips it). Prints the seconds of each one's best run as JSON.
"""

import json
import os
import sys
import time

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


def replicate(reward_K: jax.Array, rate: float, rounds: int, key: jax.Array) -> jax.Array:
    """Final weights of one replicate, (K,)."""
    K = len(reward_K)

    def update(w_K: jax.Array, Z: jax.Array, arm: jax.Array) -> jax.Array:
        w_K = w_K * jnp.exp(-rate / Z * w_K)
        return w_K.at[arm].multiply(jnp.exp(rate))

    def one_round(t: int, w_K: jax.Array) -> jax.Array:
        u = jax.random.uniform(jax.random.fold_in(key, t), (2,), dtype=jnp.float64)
        cumulative_K = jnp.cumsum(w_K)
        arm = jnp.minimum(jnp.searchsorted(cumulative_K, u[0] * cumulative_K[-1], side="right"), K - 1)
        return jax.lax.cond(
            u[1] < reward_K[arm], lambda w: update(w, cumulative_K[-1], arm), lambda w: w, w_K
        )

    return jax.lax.fori_loop(1, rounds + 1, one_round, jnp.full(K, 1.0 / K))


def main() -> None:
    """Measure both versions."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    K, correct, replicates, rounds, repeats = (int(sys.argv[i]) for i in (1, 2, 4, 5, 6))
    rate = float(sys.argv[3])
    reward_K = jnp.full(K, 0.5) if correct < 0 else (jnp.arange(K) < correct).astype(float)
    keys = jax.random.split(jax.random.key(0), replicates)

    def one(key: jax.Array) -> jax.Array:
        return replicate(reward_K, rate, rounds, key)[0]

    best = {}
    for name, program in (
        ("vmap", jax.jit(jax.vmap(one))),
        ("map", jax.jit(lambda many: jax.lax.map(one, many))),
    ):
        program(keys).block_until_ready()
        for _ in range(repeats):
            start = time.process_time()
            program(keys).block_until_ready()
            best[name] = min(best.get(name, float("inf")), time.process_time() - start)
    print(json.dumps(best))


if __name__ == "__main__":
    main()
