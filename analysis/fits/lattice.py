"""Log-odds on a lattice: the states of the walk, its steps, and what a policy there answers.

A step has a drift per state and a common standard deviation. A wide one is a Gaussian sampled on the lattice,
which keeps mean and variance to 2%; a narrow one goes to the three states around its end with the same mean
and variance; one narrower than any such law to the two neighbours of its end, so that its mean is exact.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import gammaln

from analysis.fits.likelihood import beta_binomial

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
EDGE, SPACING = 9.0, 0.2
"""Log-odds from -9 to 9: Pass@1 from 1.2e-4 to its mirror image."""
WIDE = 0.6 * SPACING
"""Standard deviation from which a step is a sampled Gaussian."""


def states() -> Floats:
    """The log-odds, (J,)."""
    return np.linspace(-EDGE, EDGE, round(2 * EDGE / SPACING) + 1)


def step(drift_J: Floats, sd: float) -> Floats:
    """Transition probabilities of one step, rows from and columns to, (J, J).

    Args:
        drift_J: Mean displacement of each state; what would leave the lattice stays at its edge.
        sd: Standard deviation of the displacement, 0 for none.
    """
    grid_J = states()
    end_J = np.clip(grid_J + drift_J, -EDGE, EDGE)
    if sd >= WIDE:
        weight_JJ = np.exp(-0.5 * ((grid_J[None, :] - end_J[:, None]) / sd) ** 2)
    else:
        middle_J = np.rint((end_J + EDGE) / SPACING).astype(np.int64)
        off_J = (end_J - grid_J[middle_J]) / SPACING
        second_J = np.maximum((sd / SPACING) ** 2 + off_J**2, np.abs(off_J))
        weight_JJ = np.zeros((grid_J.size, grid_J.size))
        rows_J = np.arange(grid_J.size)
        for move, share_J in ((-1, (second_J - off_J) / 2), (0, 1 - second_J), (1, (second_J + off_J) / 2)):
            np.add.at(weight_JJ, (rows_J, np.clip(middle_J + move, 0, grid_J.size - 1)), share_J)
    return np.asarray(weight_JJ / weight_JJ.sum(axis=1, keepdims=True), dtype=np.float64)


def carried(belief_IJ: Floats, kernel_JJ: Floats, *, back: bool) -> Floats:
    """Beliefs after a step, or messages from after it brought back, (I, J).

    Args:
        belief_IJ: One row per item.
        kernel_JJ: Transition probabilities.
        back: Whether these are messages.
    """
    if np.count_nonzero(kernel_JJ) > kernel_JJ.size / 8:
        return np.asarray(belief_IJ @ (kernel_JJ.T if back else kernel_JJ))
    sparse = csr_array(kernel_JJ if back else kernel_JJ.T)
    return np.ascontiguousarray((sparse @ belief_IJ.T).T)


def answers(n: int, p_J: Floats, rho: float) -> Floats:
    """Probability of each number of right answers among n, (J, n + 1).

    Args:
        n: Responses.
        p_J: Pass@1 of each state, in (0, 1).
        rho: Intra-class correlation of the answers of one entry, in [0, 1); 0 is binomial.
    """
    count_K = np.arange(n + 1.0)
    if rho == 0.0:
        ways_K = gammaln(n + 1.0) - gammaln(count_K + 1.0) - gammaln(n - count_K + 1.0)
        log_JK = np.log(p_J)[:, None] * count_K + np.log1p(-p_J)[:, None] * (n - count_K)
        return np.asarray(np.exp(ways_K + log_JK), dtype=np.float64)
    return np.exp(beta_binomial(count_K[None, :], n, p_J[:, None], rho))


def seen(n_I: Ints, correct_I: Ints, p_J: Floats, rho: float) -> Floats:
    """Probability of what was seen of each item at one entry in each state, (I, J); 1 where nothing was."""
    out_IJ = np.ones((n_I.size, p_J.size))
    for n in np.unique(n_I[n_I > 0]).tolist():
        rows = n_I == n
        out_IJ[rows] = answers(n, p_J, rho).T[correct_I[rows]]
    return out_IJ
