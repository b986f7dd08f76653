"""Test Pass@1 of the log-linear contextual world as a function of its train Pass@1 (theory §6).

A context is u ~ N(mu, sigma^2 I_d) and its log-odds are u.w, from base weights w0 = c mu + v with v
orthogonal to mu and |v| = nu. With one training query u0 (of base log-odds l0 = u0.w0) *every* gradient is a
multiple of u0. So whatever the signal, the rollouts and the reward map, SGD walks along w0 + a u0, and Adam,
whose step in coordinate i is then a common factor times sign(u0_i) as long as its eps is negligible, along w0
+ s sign(u0). Test Pass@1 is a function of train Pass@1 alone; the design decides when a point of the path is
reached, not which path.

Both paths are averaged here over training queries of the same base Pass@1, by quadrature, without random
numbers. SGD's path does not depend on the basis, Adam's does. "isotropic" gives mu and v random directions,
as the simulated world does; "axes" puts them on the first two axes (`along_signs`).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln, roots_genlaguerre, roots_hermitenorm, roots_legendre

from banditrft.errors import InputError
from banditrft.theory import domain
from banditrft.worlds import ContextualWorld

TEST_NODES = 96


@functools.cache
def normal_nodes(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Hermite nodes and weights of a standard normal variable, both (count,)."""
    nodes, weights = roots_hermitenorm(count)
    return np.asarray(nodes, dtype=np.float64), np.asarray(weights / weights.sum(), dtype=np.float64)


def expected_sigmoid(mean: ArrayLike, variance: ArrayLike) -> NDArray[np.float64]:
    """E[sigmoid(mean + sqrt(variance) Z)], Z standard normal: a Gauss-Hermite sum of 96 nodes (theory §6).

    Args:
        mean: Mean logit, any shape.
        variance: Variance of the logit, same shape, 0 or more.
    """
    nodes, weights = normal_nodes(TEST_NODES)
    sd = np.sqrt(np.asarray(variance, dtype=np.float64))
    values = expit(np.asarray(mean, dtype=np.float64)[..., None] + sd[..., None] * nodes)
    return np.asarray(values @ weights, dtype=np.float64)


@dataclass(frozen=True)
class Geometry:
    """The plane of mu and w0, given a training query's base log-odds (theory §6).

    Attributes:
        world: The contextual world.
        base_log_odds: l0 of the training query.
    """

    world: ContextualWorld
    base_log_odds: float

    @property
    def weight_norm_sq(self) -> float:
        """|w0|^2 = c^2 |mu|^2 + nu^2."""
        return (self.world.alignment * self.world.transfer) ** 2 + self.world.misalignment**2

    @property
    def mean_logit(self) -> float:
        """mu.w0 = c |mu|^2, mean logit of a context before training."""
        return self.world.alignment * self.world.transfer**2

    @property
    def along_mean(self) -> float:
        """Mean of the query's component orthogonal to w0 in the plane of mu and w0: |mu| nu / |w0|."""
        return self.world.transfer * self.world.misalignment / math.sqrt(self.weight_norm_sq)

    @property
    def feature_norm_sq(self) -> float:
        """E[|u0|^2 | l0] = l0^2/|w0|^2 + |mu|^2 - (mu.w0)^2/|w0|^2 + (d-1) sigma^2."""
        parallel_sq = self.base_log_odds**2 / self.weight_norm_sq
        return parallel_sq + self.along_mean**2 + (self.world.dimension - 1) * self.world.noise**2

    @property
    def transfer_logit(self) -> float:
        """E[mu.u0 | l0] = |mu|^2 (nu^2 + c l0) / |w0|^2: gain of the mean logit per unit step."""
        w = self.world
        return w.transfer**2 * (w.misalignment**2 + w.alignment * self.base_log_odds) / self.weight_norm_sq


PANEL_NODES, PANEL_END, REST_NODES = 40, 9.0, 24


def _panels(breaks: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of a standard normal variable for a function that jumps at ``breaks``."""
    edges = sorted({-PANEL_END, PANEL_END, *(b for b in breaks if abs(b) < PANEL_END)})
    nodes, weights = roots_legendre(PANEL_NODES)
    centres_P, halves_P = np.add(edges[1:], edges[:-1]) / 2, np.diff(edges) / 2
    nodes_Y = (centres_P[:, None] + halves_P[:, None] * nodes).ravel()
    weights_Y = (halves_P[:, None] * weights).ravel() * np.exp(-(nodes_Y**2) / 2)
    return nodes_Y, weights_Y / weights_Y.sum()


def along_signs(plane: Geometry, end: float) -> float:
    """E over u0 of the test Pass@1 at w0 + s sign(u0), mu along the first axis and v along the second."""
    world, sigma = plane.world, plane.world.noise
    norm = math.sqrt(plane.weight_norm_sq)
    weights_2 = np.array([world.alignment * world.transfer, world.misalignment])
    unit_2, normal_2 = weights_2 / norm, np.array([weights_2[1], -weights_2[0]]) / norm
    parallel_2 = plane.base_log_odds / norm * unit_2
    flips = [-parallel_2[i] / normal_2[i] for i in range(2) if normal_2[i] != 0]
    nodes_Y, weights_Y = _panels([(flip - plane.along_mean) / sigma for flip in flips])
    query_Y2 = parallel_2 + (plane.along_mean + sigma * nodes_Y)[:, None] * normal_2
    others = world.dimension - 2
    nodes_Q, weights_Q = normal_nodes(REST_NODES)
    spread = math.sqrt(others * (1.0 - 2.0 / math.pi))
    rest_Q = sigma * np.maximum(others * math.sqrt(2.0 / math.pi) + spread * nodes_Q, 0.0)
    step_YQ = (end - plane.base_log_odds) / (np.abs(query_Y2).sum(axis=1)[:, None] + rest_Q)
    sign_Y2 = np.sign(query_Y2)
    mean_YQ = plane.mean_logit + step_YQ * world.transfer * sign_Y2[:, :1]
    overlap_Y1 = (sign_Y2 @ weights_2)[:, None]
    norm_sq_YQ = plane.weight_norm_sq + 2 * step_YQ * overlap_Y1 + step_YQ**2 * world.dimension
    return float(weights_Y @ expected_sigmoid(mean_YQ, sigma**2 * norm_sq_YQ) @ weights_Q)


ALONG_NODES = 48
ROUNDING = 1e-9
PATH_NODES = 97
"""Points of the path that a curve of test Pass@1 is interpolated between."""
HARDEST = 9.0
"""Base log-odds (below 0) at which the search for the hardest useful query starts."""
Optimizer = Literal["sgd", "adam"]
Basis = Literal["isotropic", "axes"]


def base_held_out(world: ContextualWorld) -> float:
    """Test Pass@1 of the base weights (theory §6)."""
    plane = Geometry(world, 0.0)
    return float(expected_sigmoid(plane.mean_logit, world.noise**2 * plane.weight_norm_sq))


def forgetting_log_odds(world: ContextualWorld) -> float:
    """Base log-odds -nu^2/c below which training on a query lowers the mean logit of the others (theory §6).

    Minus infinity when the base weights are not aligned with mu (c <= 0): no query is too hard in this sense.
    """
    return -(world.misalignment**2) / world.alignment if world.alignment > 0 else -math.inf


def ceiling(world: ContextualWorld, base: float, train: float) -> float:
    """Test Pass@1 on SGD's path with |u0|^2 and mu.u0 replaced by their means: section 6's closed form.

    Args:
        world: The contextual world.
        base: Base Pass@1 of the training query, in (0, 1).
        train: Its Pass@1 now, in (0, 1).

    Raises:
        InputError: A probability is outside (0, 1).
    """
    plane, end = _path_ends(world, base, train)
    step = (end - plane.base_log_odds) / plane.feature_norm_sq
    weight_norm_sq = plane.weight_norm_sq + 2 * step * plane.base_log_odds + step**2 * plane.feature_norm_sq
    mean = plane.mean_logit + step * plane.transfer_logit
    return float(expected_sigmoid(mean, world.noise**2 * weight_norm_sq))


def difficulty(world: ContextualWorld, base: float, train: float, optimizer: Optimizer) -> dict[str, float]:
    """What training on one query of a given base does to the test set (theory §6).

    Args:
        world: The contextual world.
        base: Base Pass@1 of the training query, in (0, 1).
        train: Its Pass@1 after training, in (0, 1).
        optimizer: "sgd" or "adam".

    Returns:
        ``base_test_pass_at_1``; ``test_pass_at_1`` after training, averaged over queries; ``closed_form``,
        the same on SGD's path with means in place of averages; ``forgets_below``, the base Pass@1 under which
        the mean logit of the others falls; ``hardest_gain``, the hardest base that still lifts the test
        set, NaN if none does.

    Raises:
        InputError: A probability is outside (0, 1).
    """
    from scipy.optimize import brentq  # slow to import

    before = base_held_out(world)

    def gain(log_odds: float) -> float:
        return held_out(world, float(expit(log_odds)), train, optimizer) - before

    _, end = _path_ends(world, base, train)
    levels = np.linspace(-HARDEST, min(end, HARDEST) - 0.05, 60)
    gains = np.array([gain(float(level)) for level in levels])
    rises = np.flatnonzero(gains > ROUNDING)
    hardest = math.nan
    if len(rises):
        first = int(rises[0])
        hardest = 0.0
        if first > 0:
            hardest = float(expit(brentq(gain, levels[first - 1], levels[first], xtol=1e-6)))
    return {
        "base_test_pass_at_1": before,
        "test_pass_at_1": held_out(world, base, train, optimizer),
        "closed_form": ceiling(world, base, train),
        "forgets_below": float(expit(forgetting_log_odds(world))),
        "hardest_gain": hardest,
    }


def held_out(
    world: ContextualWorld,
    base: float,
    train: float,
    optimizer: Optimizer = "sgd",
    basis: Basis = "isotropic",
) -> float:
    """Expected test Pass@1 when the training query's Pass@1 has gone from ``base`` to ``train`` (theory §6).

    SGD: exact up to quadrature, over the query's component in the plane of mu and w0 (normal) and the squared
    length of its rest (chi-squared, d - 2 degrees of freedom). Adam with negligible eps: in an isotropic
    basis the same mean logit and about pi/2 times the displacement's noise (asymptotic in d); on axes see
    `along_signs`.

    Args:
        world: The contextual world.
        base: Base Pass@1 of the training query, in (0, 1).
        train: Its Pass@1 now, in (0, 1).
        optimizer: "sgd" or "adam".
        basis: Directions of mu and v under Adam, "isotropic" or "axes".

    Raises:
        InputError: A probability is outside (0, 1), or optimizer or basis is another one.
    """
    plane, end = _path_ends(world, base, train)
    if optimizer == "sgd":
        return _average(plane, end, None)
    if optimizer != "adam":
        raise InputError(f"optimizer: the path is known for 'sgd' | 'adam', got {optimizer!r}")
    if basis == "isotropic":
        return _average(plane, end, sign_overlap(world.dimension))
    if basis != "axes":
        raise InputError(f"basis: must be 'isotropic' | 'axes', got {basis!r}")
    return along_signs(plane, end)


def held_out_curve(
    world: ContextualWorld, base: float, train: Sequence[float], optimizer: Optimizer = "sgd"
) -> list[float]:
    """:func:`held_out` at many points of the path, by a cubic spline in the log-odds (error below 1e-6).

    Args:
        world: The contextual world.
        base: Base Pass@1 of the training query, in (0, 1).
        train: Its Pass@1 at each point, in (0, 1).
        optimizer: "sgd" or "adam".

    Raises:
        InputError: A probability is outside (0, 1), or the optimizer is another one.
    """
    from scipy.interpolate import CubicSpline  # slow to import

    if len(train) <= PATH_NODES:
        return [held_out(world, base, p, optimizer) for p in train]
    ends = [domain.log_odds(domain.open_unit("train", p)) for p in (min(train), max(train))]
    nodes = np.linspace(ends[0], ends[1], PATH_NODES) if ends[1] - ends[0] > ROUNDING else np.array(ends[:1])
    values = [held_out(world, base, float(expit(node)), optimizer) for node in nodes]
    if len(nodes) == 1:
        return values * len(train)
    at = np.array(train)
    return [float(value) for value in CubicSpline(nodes, values)(np.log(at) - np.log1p(-at))]


def sign_overlap(dimension: int) -> float:
    """E sum_i |x_i| of a uniform unit vector in d dimensions, A; close to sqrt(2 d/pi)."""
    log_mean = gammaln(dimension / 2) - gammaln((dimension + 1) / 2) - 0.5 * math.log(math.pi)
    return dimension * math.exp(log_mean)


def _path_ends(world: ContextualWorld, base: float, train: float) -> tuple[Geometry, float]:
    start = domain.log_odds(domain.open_unit("base", base))
    return Geometry(world, start), domain.log_odds(domain.open_unit("train", train))


def _average(plane: Geometry, end: float, overlap: float | None) -> float:
    """E over u0 of the test Pass@1 at the point of the path where u0.w = ``end``.

    ``overlap`` None: w = w0 + a u0. Else w = w0 + s sign(u0) in a random basis: sign(u0) = (A/|u0|) u0 + rest
    with A = ``overlap``, the rest orthogonal to u0, of squared length d - A^2 and uniform direction.
    """
    world, sigma_sq, d = plane.world, plane.world.noise**2, plane.world.dimension
    nodes_Y, weights_Y = normal_nodes(ALONG_NODES)
    along_Y1 = (plane.along_mean + world.noise * nodes_Y)[:, None]
    rest_Q, weights_Q = rest_nodes(d)
    feature_sq_YQ = plane.base_log_odds**2 / plane.weight_norm_sq + along_Y1**2 + sigma_sq * rest_Q
    step_YQ = (end - plane.base_log_odds) / feature_sq_YQ
    parallel = plane.mean_logit * plane.base_log_odds / plane.weight_norm_sq
    slope_YQ = parallel + plane.along_mean * along_Y1
    moved_sq_YQ = step_YQ**2 * feature_sq_YQ
    variance_YQ = plane.weight_norm_sq + 2 * step_YQ * plane.base_log_odds + moved_sq_YQ
    if overlap is not None:
        excess_YQ = moved_sq_YQ * (d / overlap**2 - 1.0)
        sideways_YQ = (world.transfer**2 - slope_YQ**2 / feature_sq_YQ) / (d - 1)
        variance_YQ = variance_YQ + excess_YQ * (1.0 + sideways_YQ / sigma_sq)
    values_YQ = expected_sigmoid(plane.mean_logit + step_YQ * slope_YQ, sigma_sq * variance_YQ)
    return float(weights_Y @ values_YQ @ weights_Q)


@functools.cache
def rest_nodes(dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of chi-squared with d - 2 degrees of freedom; of a normal like it if d > 200."""
    free = dimension - 2
    if free == 0:
        return np.zeros(1), np.ones(1)
    if free > 200:
        nodes, weights = normal_nodes(REST_NODES)
        return np.maximum(free + math.sqrt(2 * free) * nodes, 0.0), weights
    nodes, weights = roots_genlaguerre(REST_NODES, free / 2 - 1.0)
    return 2.0 * np.asarray(nodes), np.asarray(weights / math.exp(gammaln(free / 2)))


def mean_size(world: ContextualWorld, base: float) -> float:
    """E[sum_i |u0_i| | l0] in an isotropic basis: log-odds per unit of Adam's step (theory §6).

    Args:
        world: The contextual world.
        base: Base Pass@1 of the training query, in (0, 1).

    Raises:
        InputError: ``base`` is outside (0, 1).
    """
    plane, _ = _path_ends(world, base, base)
    nodes_Y, weights_Y = normal_nodes(ALONG_NODES)
    rest_Q, weights_Q = rest_nodes(world.dimension)
    along_Y1 = (plane.along_mean + world.noise * nodes_Y)[:, None]
    length_YQ = np.sqrt(plane.base_log_odds**2 / plane.weight_norm_sq + along_Y1**2 + world.noise**2 * rest_Q)
    return sign_overlap(world.dimension) * float(weights_Y @ length_YQ @ weights_Q)
