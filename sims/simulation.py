"""One simulated run -> its records: the room's front door (`sims.execute`).

Records depend on the run's design, world, evaluations, root seed and seeds alone: not on the chunk a seed
lies in, the number of workers or what ran before.
"""

import numpy as np

from banditrft.errors import InputError
from banditrft.records import RunTables
from banditrft.runs import Run
from banditrft.worlds import ContextualWorld, LumpedWorld, check_supported
from sims.contextual import run as contextual_run
from sims.lumped import run as lumped_run


def execute(run: Run) -> RunTables:
    """Simulate a run.

    Args:
        run: A condition in a simulated world, for a range of seeds.

    Returns:
        Its records. Entropy and KL stand at rounds of evaluation; tokens and seconds are null, and so is what
        a path does not know; the lenient grade equals the strict one.

    Raises:
        InputError: The world is not a simulated one, or cannot run the design.
    """
    check_supported(run.design, run.world)
    seeds_R = np.arange(run.seeds.start, run.seeds.stop, dtype=np.int64)
    if isinstance(run.world, LumpedWorld):
        return lumped_run.execute(run, run.world, seeds_R)
    if isinstance(run.world, ContextualWorld):
        return contextual_run.execute(run, run.world, seeds_R)
    raise InputError(f"world: sims runs worlds of kind 'sim', got '{run.world.name}' ({run.world.kind})")
