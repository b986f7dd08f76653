"""Which contexts the contextual world draws, and in which order it trains on them (theory §6, §8)."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.special import expit, logit
from support.contextual_replay import ROOT, Floats, Setting, sequence, setting

from banditrft.design import Design, Evaluation
from banditrft.errors import InputError
from banditrft.runs import Run
from banditrft.streams import Purpose, uniforms
from banditrft.worlds import ContextualWorld
from sims import execute
from sims.compiled.normals import fill_normals, turn_pairs
from sims.contextual.contexts import stage, truncated_normal
from sims.contextual.draws import Order

WORLD = {"seeds": 1, "dimension": 5, "transfer": 1.5, "noise": 1.3, "train_items": 400}


def base_log_odds(made: Setting) -> Floats:
    return np.einsum("rnd,rd->rn", made.pool.u_PND, made.w0_PD) + made.pool.offset_PN


def deviations(made: Setting) -> Floats:
    """Contexts and offsets, centred and scaled: (queries, d + 1) of independent standard normal numbers."""
    u = (made.pool.u_PND - made.mu_PD[:, None]) / made.world.noise
    return np.concatenate([u, made.pool.offset_PN[..., None] / made.world.offset_spread], axis=-1).reshape(
        -1, u.shape[-1] + 1
    )


def assert_standard(z: Floats) -> None:
    """Means, variances and covariances of independent standard normal columns, at 4.5 standard errors."""
    n = len(z)
    assert np.abs(z.mean(axis=0)).max() < 4.5 / np.sqrt(n)
    off = np.cov(z.T) - np.eye(z.shape[1])
    assert np.abs(off).max() < 4.5 * np.sqrt(2 / n)


def test_geometry_of_the_frame() -> None:
    made = setting(ContextualWorld(seeds=9), range(3))
    assert made.pool.u_PND.shape == (3, 1, 64)
    assert made.test.u_PND.shape == (3, 1000, 64)
    for mu, w0, test in zip(made.mu_PD, made.w0_PD, made.test.u_PND, strict=True):
        assert np.linalg.norm(mu) == pytest.approx(2.0)
        assert w0 @ mu == pytest.approx(0.3 * 4)
        assert np.linalg.norm(w0 - 0.3 * mu) == pytest.approx(0.9)
        assert abs(((test - mu) ** 2).sum() - 64_000) < 4 * np.sqrt(2 * 64_000)


def test_a_seed_draws_a_world_of_its_own() -> None:
    """Directions, training queries and test contexts of two seeds are independent, and uniform over turns."""
    made = setting(ContextualWorld(seeds=9, dimension=3, test_items=4, offset_spread=0.5), range(2000))
    along = made.mu_PD / np.linalg.norm(made.mu_PD, axis=1, keepdims=True)
    across = made.w0_PD - 0.3 * made.mu_PD
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    for direction in (along, across):  # uniform on the sphere: every coordinate is uniform in [-1, 1]
        for coordinate in direction.T:
            assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    test = np.concatenate(
        [(made.test.u_PND - made.mu_PD[:, None]).reshape(2000, -1), made.test.offset_PN / 0.5], 1
    )
    train = (made.pool.u_PND[:, 0] - made.mu_PD) @ np.eye(3)
    assert_standard(test)
    assert np.abs(np.corrcoef(np.hstack([test, along, across]).T)[:16, 16:]).max() < 4.5 / np.sqrt(2000)
    assert np.abs(np.corrcoef(np.hstack([test, train]).T)[:16, 16:]).max() < 4.5 / np.sqrt(2000)


def test_seeds_that_share_a_draw() -> None:
    """With `draw` all seeds meet what that seed draws, and differ in their answers alone."""
    world = ContextualWorld(seeds=9, dimension=6, test_items=20, train_items=3, base_pass_at_1=(0.1, 0.6))
    shared = world.model_copy(update={"draw": 4})
    theirs, its = stage(shared, ROOT).scene(range(5)), stage(world, ROOT).scene([4])
    for name in ("w0_PD", "pool", "test"):
        ours, own = (getattr(s, name) for s in (theirs, its))
        pair = (ours, own) if name == "w0_PD" else (ours.u_PND, own.u_PND)
        np.testing.assert_array_equal(*pair)
        assert len(pair[0]) == 1
    runs = {}
    for each in (world, shared):
        key = Run("x", each, "G=1", Design(learning_rate=0.01, rounds=30), Evaluation(), ROOT, range(9))
        runs[each.draw] = execute(key).evals.filter((pl.col("split") == "test") & (pl.col("round") == 0))
    assert runs[4]["p_exact"].n_unique() == 1
    assert runs[None]["p_exact"].n_unique() == 9
    (base,) = runs[4]["p_exact"].unique()
    assert base == runs[None].filter(pl.col("seed") == 4)["p_exact"][0]
    assert runs[4]["correct_strict"].n_unique() > 3


def test_contexts_as_drawn() -> None:
    made = setting(ContextualWorld(**WORLD, base_pass_at_1="any", offset_spread=0.8), range(50))
    assert_standard(deviations(made))
    l0 = base_log_odds(made).ravel()
    w0, mu = made.w0_PD[0], made.mu_PD[0]
    law = stats.norm(mu @ w0, np.sqrt(1.3**2 * w0 @ w0 + 0.8**2))
    assert stats.kstest(l0, law.cdf).pvalue > 1e-3
    assert len(np.unique(made.pool.u_PND)) == made.pool.u_PND.size


@pytest.mark.parametrize("base", [0.05, 0.6])
@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_contexts_of_one_base(base: float, spread: float) -> None:
    """Given l0, (u, b) is normal with the conditional mean and covariance of the joint law."""
    made = setting(ContextualWorld(**WORLD, base_pass_at_1=base, offset_spread=spread), range(50), axes=True)
    np.testing.assert_allclose(base_log_odds(made), logit(base), atol=1e-12)
    w0, mu, noise = made.w0_PD[0], made.mu_PD[0], made.world.noise
    joint = np.diag([noise**2] * 5 + [spread**2])
    along = joint @ np.append(w0, 1.0)
    variance = np.append(w0, 1.0) @ along
    mean = np.append(mu, 0.0) + along / variance * (logit(base) - mu @ w0)
    covariance = joint - np.outer(along, along) / variance
    drawn = np.concatenate([made.pool.u_PND, made.pool.offset_PN[..., None]], axis=-1).reshape(-1, 6)
    values, vectors = np.linalg.eigh(covariance)
    free = values > 1e-9
    assert free.sum() == 4 + (spread > 0)
    assert_standard((drawn - mean) @ vectors[:, free] / np.sqrt(values[free]))
    np.testing.assert_allclose((drawn - mean) @ vectors[:, ~free], 0.0, atol=1e-9)


def test_contexts_of_a_range_are_those_that_fall_into_it() -> None:
    """Truncating the draw of l0 is the same as throwing away contexts outside the range."""
    low, high = 0.1, 0.4
    some = {**WORLD, "train_items": 2000, "offset_spread": 0.5}
    ranged = setting(ContextualWorld(**some, base_pass_at_1=(low, high)), range(10))
    free = setting(ContextualWorld(**some, base_pass_at_1="any"), range(200, 240))
    kept = expit(base_log_odds(free))
    kept_rows = (kept > low) & (kept < high)
    p = expit(base_log_odds(ranged))
    assert (p >= low - 1e-12).all()
    assert (p <= high + 1e-12).all()
    assert kept_rows.sum() > 4000
    for feature in (
        base_log_odds,
        lambda made: np.einsum("rnd,rd->rn", made.pool.u_PND, made.mu_PD),
        lambda made: made.pool.offset_PN,
        lambda made: (made.pool.u_PND**2).sum(-1),
    ):
        assert stats.ks_2samp(feature(ranged).ravel(), feature(free)[kept_rows]).pvalue > 1e-3


@pytest.mark.parametrize(
    "ends", [(-1.0, 0.5), (3.0, 4.0), (-9.0, -8.0), (12.0, 12.5), (-np.inf, -2.0), (-40.0, 40.0)]
)
def test_truncated_normal_quantiles(ends: tuple[float, float]) -> None:
    u = np.array([1e-12, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9])
    z = truncated_normal(*ends, u)
    assert (np.diff(z) > 0).all()
    np.testing.assert_allclose(z, stats.truncnorm(*ends).ppf(u), rtol=1e-6, atol=1e-9)


def test_pool_differs_from_seed_to_seed_and_never_with_its_company() -> None:
    world = ContextualWorld(**WORLD, base_pass_at_1=(0.1, 0.4), offset_spread=0.2)
    everyone, alone = setting(world, range(6)), setting(world, [4])
    whole, part = everyone.pool, alone.pool
    np.testing.assert_array_equal(everyone.w0_PD[4], alone.w0_PD[0])
    np.testing.assert_array_equal(everyone.test.u_PND[4], alone.test.u_PND[0])
    np.testing.assert_array_equal(whole.u_PND[4], part.u_PND[0])
    np.testing.assert_array_equal(whole.offset_PN[4], part.offset_PN[0])
    assert len(np.unique(whole.u_PND[:, :, 0])) == whole.offset_PN.size
    fewer = setting(world.model_copy(update={"train_items": 7}), [4]).pool
    np.testing.assert_array_equal(fewer.u_PND[0], part.u_PND[0, :7])


@pytest.mark.parametrize(("items", "batch"), [(1, 3), (7, 1), (7, 3), (7, 7), (5, 12), (64, 10)])
def test_every_epoch_is_a_permutation(items: int, batch: int) -> None:
    rounds = 40
    seeds = [0, 11]
    order = Order(ROOT, seeds, items, batch)
    taken = np.concatenate([order.batch(t).copy() for t in range(1, rounds + 1)], axis=1)
    assert taken.tolist() == [sequence(seed, items, rounds * batch) for seed in seeds]
    epochs = taken[:, : rounds * batch // items * items].reshape(2, -1, items)
    assert (np.sort(epochs, axis=-1) == np.arange(items)).all()
    assert items < 5 or (epochs[0] != epochs[1]).any()


def test_permutations_are_uniform() -> None:
    order = Order(ROOT, range(6000), 4, 4)
    drawn = order.batch(3)
    codes = drawn @ np.array([64, 16, 4, 1])
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_normal_vectors() -> None:
    z_SGD = np.empty((2000, 2, 7))
    fill_normals(z_SGD, ROOT, np.arange(2000), np.full(2000, 3), Purpose.REWARD, 5)
    z = z_SGD.reshape(4000, 7)
    assert_standard(z)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    u = uniforms(ROOT, [17], [3], Purpose.REWARD, 5, 2, 8)[0, 1]
    radius = np.sqrt(-2 * np.log(u[[0, 2]] + 2.0**-54))
    pairs = radius[:, None] * np.stack([np.cos(2 * np.pi * u[[1, 3]]), np.sin(2 * np.pi * u[[1, 3]])], axis=1)
    np.testing.assert_allclose(z_SGD[17, 1, :4], pairs.ravel(), rtol=1e-12)
    moved, mean = np.empty_like(z_SGD), np.arange(7.0)
    fill_normals(moved, ROOT, np.arange(2000), np.full(2000, 3), Purpose.REWARD, 5, mean[None], 0.5)
    np.testing.assert_allclose(moved, mean + 0.5 * z_SGD, rtol=1e-14)
    own = np.arange(14_000.0).reshape(2000, 7)
    fill_normals(moved, ROOT, np.arange(2000), np.full(2000, 3), Purpose.REWARD, 5, own, 0.5)
    np.testing.assert_allclose(moved, own[:, None] + 0.5 * z_SGD, rtol=1e-14)


def test_sine_and_cosine_of_turns() -> None:
    eighths = np.arange(8) / 8
    turns = np.concatenate(
        [np.random.default_rng(0).random(100_000), eighths, np.nextafter(eighths, 1), [1 - 2**-53]]
    )
    length, angle = np.full(len(turns), 4.0), turns.copy()
    turn_pairs(length, angle)
    exact = np.exp(2j * np.pi * turns.astype(np.longdouble))
    np.testing.assert_allclose(length, 2 * exact.real, atol=2e-15, rtol=0)
    np.testing.assert_allclose(angle, 2 * exact.imag, atol=2e-15, rtol=0)


def features(path: Path, **changed: object) -> ContextualWorld:
    rng = np.random.default_rng(0)
    arrays = {"train": rng.normal(size=(4, 3)), "test": rng.normal(size=(6, 3)), "w0": np.ones(3), **changed}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    return ContextualWorld(seeds=2, features=str(path))


def test_features_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    drawn = stage(features(path, train_offset=np.arange(4)), ROOT)
    made = drawn.scene([0, 1])
    with np.load(path) as file:
        np.testing.assert_array_equal(made.pool.u_PND[0], file["train"])
        np.testing.assert_array_equal(made.test.u_PND[0], file["test"])
    assert (drawn.dimension, drawn.train_items, drawn.test_items) == (3, 4, 6)
    assert made.pool.offset_PN.tolist() == [[0, 1, 2, 3]]
    assert made.test.offset_PN.tolist() == [[0] * 6]


BAD_FILES: dict[str, tuple[dict[str, object], str]] = {
    "missing": ({"w0": None}, "must hold train, test, w0"),
    "unknown": ({"tests": np.ones(3)}, "got test, tests, train, w0"),
    "length": ({"test": np.ones((6, 2))}, r"'test' .* must have shape \(n >= 1, 3\), got \(6, 2\)"),
    "offset": ({"test_offset": np.ones(5)}, r"'test_offset' .* shape \(6\), got \(5,\)"),
    "empty": ({"train": np.ones((0, 3))}, "'train' .* must have shape"),
    "nan": ({"train": np.full((4, 3), np.nan)}, "'train' .* must hold finite numbers"),
    "text": ({"w0": np.array(["a", "b", "c"])}, "'w0' .* must hold finite numbers .*, got <U1"),
    "long": ({"train": np.full((4, 3), 1e300, np.longdouble) * 1e200}, "'train' .* must hold finite numbers"),
    "large": ({"test": np.full((6, 3), -1e200)}, "'test' .* must hold finite numbers of at most 1e[+]100"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_of_features_is_named(case: str, tmp_path: Path) -> None:
    changed, message = BAD_FILES[case]
    with pytest.raises(InputError, match=message):
        stage(features(tmp_path / "f.npz", **changed), ROOT)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    packed = io.BytesIO()
    np.savez_compressed(packed, train=np.ones((4, 3)), test=np.ones((6, 3)), w0=np.ones(3))
    whole = packed.getvalue()
    at = whole.index(b"train.npy") + len(b"train.npy") + 30
    damaged = whole[:at] + b"\xff" * 8 + whole[at + 8 :]
    directory = whole.index(b"PK\x01\x02")
    encrypted = whole[: directory + 8] + b"\x01" + whole[directory + 9 :]
    single = io.BytesIO()
    np.save(single, np.ones(3))
    for content in (None, b"", b"no npz at all", single.getvalue(), damaged, encrypted, whole[:-30]):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=r"features: .* is not a readable npz file"):
            stage(ContextualWorld(seeds=1, features=str(path)), ROOT)
