"""Contexts of the log-linear contextual world: how they are drawn, or read from a file (theory §6).

A context u in R^d with offset b has log-odds u.w + b of a correct answer. Contexts are N(mu, sigma^2 I),
offsets N(0, s^2), base weights w0 = c mu + v with v orthogonal to mu. Adam depends on the basis, so mu and v
are given random directions, an orthonormal pair.

A file of contexts (`read_features`) takes the place of drawn ones.

A seed draws a whole world: its directions, its training queries and its test contexts. Conditions of one seed
share them; seeds share nothing, so an interval over seeds contains the draw of the test set and speaks of the
law of worlds that the settings describe. With the setting `draw` all seeds share what that seed draws.

Training queries are drawn *given* their base log-odds l0 = u.w0 + b, exactly: without the condition
l0 ~ N(mu.w0, V), V = sigma^2 |w0|^2 + s^2; a range of base Pass@1 truncates that law; and a draw (u, b) is
moved to its l0 along the covariance of (u, b) with u.w0 + b, u by sigma^2 w0/V and b by s^2/V per unit of
missing log-odds, which turns a sample of the joint normal law into one of the conditional law.

Addresses (`banditrft.streams`, purpose CONTEXT, the seed's own): training query n is item 0, rollout n; test
context n is item 2, rollout n; round 0 holds the d normal numbers of either, round 1 the uniform that places
l0 in a range and the one of the offset. Item 1 holds the 2 d normal numbers of the directions.
"""

import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError
from banditrft.streams import Purpose
from banditrft.worlds import ContextualWorld
from sims.compiled import aligned
from sims.compiled.normals import fill_normals
from sims.contextual.draws import fill_uniforms

Floats = NDArray[np.float64]
BROKEN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged, encrypted or foreign npz file raises, and a single array in its place."""
LARGEST = 1e100
"""Largest size of a number: squares and sums of it stay finite."""
REQUIRED, OPTIONAL = ("train", "test", "w0"), ("train_offset", "test_offset")


@dataclass(frozen=True)
class Features:
    """Contexts that a user brings.

    Attributes:
        train_ND: Training queries, shared by all seeds.
        test_MD: Held-out contexts.
        w0_D: Base weights.
        train_offset_N: Log-odds of each training query that no weight changes; 0 by default.
        test_offset_M: Those of the held-out contexts.
    """

    train_ND: Floats
    test_MD: Floats
    w0_D: Floats
    train_offset_N: Floats
    test_offset_M: Floats


def read_features(path: str) -> Features:
    """Read an npz file with arrays train (N, D), test (M, D), w0 (D,) and, optionally, their offsets.

    Raises:
        InputError: The file cannot be read, an array is missing, unknown, not finite or of another shape.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except BROKEN as error:
        raise InputError(f"features: '{path}' is not a readable npz file ({error})") from None
    missing = [name for name in REQUIRED if name not in arrays]
    unknown = sorted(set(arrays) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        raise InputError(
            f"features: '{path}' must hold {', '.join(REQUIRED)} and may hold {', '.join(OPTIONAL)}, "
            f"got {', '.join(sorted(arrays))}"
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or not (np.abs(array.astype(np.longdouble)) <= LARGEST).all():
            limits = f"finite numbers of at most {LARGEST:g} in size"
            raise InputError(f"features: '{name}' in '{path}' must hold {limits}, got {array.dtype}")
    w0_D = _of_shape(arrays["w0"], path, "w0", (None,))
    D = len(w0_D)
    train_ND = _of_shape(arrays["train"], path, "train", (None, D))
    test_MD = _of_shape(arrays["test"], path, "test", (None, D))
    N, M = len(train_ND), len(test_MD)
    return Features(
        train_ND,
        test_MD,
        w0_D,
        _of_shape(arrays.get("train_offset", np.zeros(N)), path, "train_offset", (N,)),
        _of_shape(arrays.get("test_offset", np.zeros(M)), path, "test_offset", (M,)),
    )


def _of_shape(array: NDArray[np.generic], path: str, name: str, shape: tuple[int | None, ...]) -> Floats:
    """The array in double precision, if it has the wanted shape (None: any length of at least 1)."""
    fits = array.ndim == len(shape) and all(
        have == want if want is not None else have > 0 for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("n >= 1" if want is None else str(want) for want in shape)
        raise InputError(f"features: '{name}' in '{path}' must have shape ({wanted}), got {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float64)


TRAINING_ITEM, FRAME_ITEM, TEST_ITEM = 0, 1, 2
"""Items of a seed's CONTEXT stream that hold its training queries, its directions, its test contexts."""
Seeds = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True)
class Contexts:
    """Sets of contexts.

    Attributes:
        u_PND: N contexts for each of P seeds; P = 1 where all seeds share those of a file.
        offset_PN: Log-odds of each that no weight changes.
    """

    u_PND: Floats
    offset_PN: Floats

    @property
    def N(self) -> int:
        """Contexts in a set."""
        return int(self.u_PND.shape[1])

    def of(self, rows: slice) -> Self:
        """The sets of some seeds."""
        if len(self.u_PND) == 1:
            return self
        return type(self)(self.u_PND[rows], self.offset_PN[rows])


@dataclass(frozen=True)
class Frame:
    """What all contexts of a seed have in common: their mean, and the base weights."""

    mu_PD: Floats
    w0_PD: Floats


@dataclass(frozen=True)
class Scene:
    """What P seeds are run in; P = 1 where all share a file's.

    Attributes:
        w0_PD: Base weights.
        pool: Training queries.
        test: Held-out contexts.
    """

    w0_PD: Floats
    pool: Contexts
    test: Contexts


@dataclass(frozen=True)
class Stage:
    """A world ready to be drawn.

    Attributes:
        dimension: d.
        train_items: Training queries of each seed.
        test_items: Held-out contexts of each seed.
        scene: What some seeds are run in.
    """

    dimension: int
    train_items: int
    test_items: int
    scene: Callable[[Seeds], Scene]


def stage(world: ContextualWorld, root_seed: int) -> Stage:
    """What a world's settings describe.

    Args:
        world: The world's settings.
        root_seed: First part of the key of every random number.

    Raises:
        InputError: The world's file of features cannot be used.
    """
    if world.features is None:
        shared = None if world.draw is None else [world.draw]
        return Stage(
            world.dimension,
            world.train_items,
            world.test_items,
            lambda seeds: draw(world, root_seed, shared or seeds),
        )
    given = read_features(world.features)
    pool = Contexts(given.train_ND[None], given.train_offset_N[None])
    test = Contexts(given.test_MD[None], given.test_offset_M[None])
    made = Scene(given.w0_D[None], pool, test)
    return Stage(len(given.w0_D), pool.N, test.N, lambda _: made)


def draw(world: ContextualWorld, root_seed: int, seeds: Seeds, directions_2D: Floats | None = None) -> Scene:
    """The world that each of R seeds draws; arguments as of `frame`."""
    common = frame(world, root_seed, seeds, directions_2D)
    pool = training_pool(world, common, root_seed, seeds)
    return Scene(common.w0_PD, pool, test_set(world, common, root_seed, seeds))


def _uniforms(root_seed: int, seeds: Seeds, item: int, count: int) -> Floats:
    """Two uniform numbers in (0, 1) of each context, (R, count, 2): `banditrft.streams` plus 2^-54."""
    seeds_R = np.asarray(seeds, np.int64)
    out = np.empty((len(seeds_R), count, 2))
    fill_uniforms(out, root_seed, seeds_R, np.full_like(seeds_R, item), int(Purpose.CONTEXT), 1)
    out += 2.0**-54
    return out


def random_directions(root_seed: int, seeds: Seeds, dimension: int) -> Floats:
    """A random orthonormal pair of each seed, (R, 2, d)."""
    seeds_R = np.asarray(seeds, np.int64)
    drawn_R2D = np.empty((len(seeds_R), 2, dimension))
    items_R = np.full_like(seeds_R, FRAME_ITEM)
    flat = drawn_R2D.reshape(len(seeds_R), 1, 2 * dimension)
    fill_normals(flat, root_seed, seeds_R, items_R, Purpose.CONTEXT, 0)
    along_RD, across_RD = drawn_R2D[:, 0], drawn_R2D[:, 1]
    along_RD /= np.linalg.norm(along_RD, axis=1, keepdims=True)
    across_RD -= (across_RD * along_RD).sum(axis=1, keepdims=True) * along_RD
    across_RD /= np.linalg.norm(across_RD, axis=1, keepdims=True)
    return drawn_R2D


def frame(world: ContextualWorld, root_seed: int, seeds: Seeds, directions_2D: Floats | None = None) -> Frame:
    """Mean of the contexts, and base weights, of each seed.

    Args:
        world: The world's settings.
        root_seed: First part of the key of every random number.
        seeds: R of them.
        directions_2D: Orthonormal directions of mu and of v for all; random ones by default. They matter to
            Adam only: along two axes it generalises worse (test Pass@1 .645 against .662 at p0 = .005).
    """
    if directions_2D is None:
        directions_R2D = random_directions(root_seed, seeds, world.dimension)
    else:
        directions_R2D = np.broadcast_to(directions_2D, (len(seeds), *directions_2D.shape))
    mu_RD = world.transfer * directions_R2D[:, 0]
    return Frame(mu_RD, world.alignment * mu_RD + world.misalignment * directions_R2D[:, 1])


def test_set(world: ContextualWorld, common: Frame, root_seed: int, seeds: Seeds) -> Contexts:
    """Held-out contexts of each seed, as they fall: (R, M, d)."""
    u_RMD = _normal_contexts(world, common, root_seed, seeds, TEST_ITEM, world.test_items)
    if world.offset_spread == 0:
        return Contexts(u_RMD, np.zeros(u_RMD.shape[:2]))
    return Contexts(u_RMD, _offsets(world, _uniforms(root_seed, seeds, TEST_ITEM, world.test_items)))


def training_pool(world: ContextualWorld, common: Frame, root_seed: int, seeds: Seeds) -> Contexts:
    """Training queries of each seed, given their base Pass@1: (R, N, d)."""
    u_RND = _normal_contexts(world, common, root_seed, seeds, TRAINING_ITEM, world.train_items)
    offset_RN = np.zeros(u_RND.shape[:2])
    if world.base_pass_at_1 == "any" and world.offset_spread == 0:
        return Contexts(u_RND, offset_RN)
    level_RN2 = _uniforms(root_seed, seeds, TRAINING_ITEM, world.train_items)
    if world.offset_spread > 0:
        offset_RN = _offsets(world, level_RN2)
    if world.base_pass_at_1 == "any":
        return Contexts(u_RND, offset_RN)
    w0_R1D, variance = common.w0_PD[:, None], log_odds_law(world)[1]
    missing_RN = base_log_odds(world, level_RN2[..., 0]) - (u_RND * w0_R1D).sum(axis=-1) - offset_RN
    u_RND += missing_RN[..., None] * (w0_R1D * (world.noise**2 / variance))
    return Contexts(u_RND, offset_RN + missing_RN * (world.offset_spread**2 / variance))


def _normal_contexts(
    world: ContextualWorld, common: Frame, root_seed: int, seeds: Seeds, item: int, count: int
) -> Floats:
    """Contexts as they fall, (R, count, d)."""
    seeds_R = np.asarray(seeds, np.int64)
    u_RND = aligned.zeros(len(seeds_R), count, world.dimension)
    items_R = np.full_like(seeds_R, item)
    fill_normals(u_RND, root_seed, seeds_R, items_R, Purpose.CONTEXT, 0, common.mu_PD, world.noise)
    return u_RND


def _offsets(world: ContextualWorld, level_RN2: Floats) -> Floats:
    from scipy.special import ndtri

    return world.offset_spread * np.asarray(ndtri(level_RN2[..., 1]))


def log_odds_law(world: ContextualWorld) -> tuple[float, float]:
    """Mean and variance of the base log-odds of a context as it falls, whatever the directions."""
    along, across = world.alignment * world.transfer, world.misalignment
    return along * world.transfer, world.noise**2 * (along**2 + across**2) + world.offset_spread**2


def base_log_odds(world: ContextualWorld, uniform: Floats) -> Floats:
    """Quantiles of the law of a training query's base log-odds: one value, or a truncated normal law.

    Args:
        world: The world's settings; `base_pass_at_1` "any" is the whole normal law.
        uniform: Levels in (0, 1), any shape.
    """
    if isinstance(world.base_pass_at_1, float):
        return np.full(uniform.shape, math.log(world.base_pass_at_1) - math.log1p(-world.base_pass_at_1))
    from scipy.special import logit

    low, high = (0.0, 1.0) if world.base_pass_at_1 == "any" else world.base_pass_at_1
    mean, variance = log_odds_law(world)
    sd = math.sqrt(variance)
    z = truncated_normal((logit(low) - mean) / sd, (logit(high) - mean) / sd, uniform)
    return np.asarray(mean + sd * z)


def truncated_normal(low: float, high: float, uniform: Floats) -> Floats:
    """Quantiles of a standard normal variable given that it lies in [low, high], accurate in both tails."""
    from scipy.special import log_ndtr, ndtri_exp

    if low > 0:
        return -truncated_normal(-high, -low, 1.0 - uniform)
    below, above = log_ndtr(low) + np.log1p(-uniform), log_ndtr(high) + np.log(uniform)
    quantiles: Floats = np.clip(ndtri_exp(np.logaddexp(below, above)), low, high)
    return quantiles
