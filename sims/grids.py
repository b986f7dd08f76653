"""Grids of rounds at which a simulation is looked at: checked in one place for every simulator."""

import numpy as np
from numpy.typing import NDArray

from banditrft.errors import InputError


def check_rising(name: str, grid_E: NDArray[np.int64], rounds: int) -> None:
    """Refuse a grid that does not rise strictly within 0..rounds; an empty one is a grid.

    Raises:
        InputError: Names the argument.
    """
    if len(grid_E) and (grid_E[0] < 0 or grid_E[-1] > rounds or (np.diff(grid_E) <= 0).any()):
        raise InputError(f"{name}: must rise strictly within 0..{rounds}, got {grid_E.tolist()}")
