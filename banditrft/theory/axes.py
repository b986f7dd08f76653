"""Adam's path in the contextual world when mu and v lie along the first two axes (theory §6).

There the first two coordinates of the training query carry all of mu and w0, and what Adam's sign does to
them is not small: test Pass@1 ends lower than in an isotropic basis. Signs and sizes of the first two
coordinates are exact; the sum of the other d - 2 absolute values is taken as normal with its own mean and
variance.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_legendre

from banditrft.theory.contexts import Geometry, expected_sigmoid, normal_nodes

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
