"""Trimmed means of weighted runs: the one compiled loop that bootstraps of interquartile means live in.

Values are sorted once per evaluation; a resample then only adds up weights along the sorted order, until a
quarter of the weight lies below and again until a quarter lies above.
"""

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.uint32]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def fill_trimmed(sorted_EN: Floats, order_EN: Places, weights_RN: Floats, cut: float, out_RE: Floats) -> None:
    """Fill the means of the weight between `cut` and N - `cut` along each sorted row; weights sum to N."""
    n = weights_RN.shape[1]
    last = n - cut
    for r in range(weights_RN.shape[0]):
        for e in range(sorted_EN.shape[0]):
            i, passed = 0, weights_RN[r, order_EN[e, 0]]
            while passed <= cut and i + 1 < n:
                i += 1
                passed += weights_RN[r, order_EN[e, i]]
            total = (passed - cut) * sorted_EN[e, i]
            while passed < last and i + 1 < n:
                i += 1
                weight = weights_RN[r, order_EN[e, i]]
                total += weight * sorted_EN[e, i]
                passed += weight
            out_RE[r, e] = (total - (passed - last) * sorted_EN[e, i]) / (last - cut)


def sort_runs(values_NE: Floats) -> tuple[Floats, Places]:
    """Values of each evaluation in rising order and the runs they belong to, both (E, N)."""
    order_EN = np.ascontiguousarray(np.argsort(values_NE, axis=0, kind="stable").T)
    return np.take_along_axis(values_NE.T, order_EN, axis=1), order_EN.astype(np.uint32)


def trimmed_means(ordered: tuple[Floats, Places], weights_RN: Floats, cut: int) -> Floats:
    """Means over runs without the lowest and highest `cut` of the weight, (R, E).

    Args:
        ordered: Values in order (:func:`sort_runs`).
        weights_RN: Weights of the runs, rows that sum to N.
        cut: Weight left out at either end, less than N / 2.
    """
    sorted_EN, order_EN = ordered
    out_RE = np.empty((weights_RN.shape[0], sorted_EN.shape[0]))
    fill_trimmed(np.ascontiguousarray(sorted_EN), order_EN, weights_RN, float(cut), out_RE)
    return out_RE
