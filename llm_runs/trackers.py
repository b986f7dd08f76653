"""Where rounds are also shown while they run: TensorBoard, Weights & Biases or Trackio; off by default.

A tracker is a view, not a record: what it shows is in the run's tables too, and no other part of the program
reads it. Each service is used through its own package, which is imported here only when a world asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from banditrft.errors import InputError
from banditrft.runs import Run
from banditrft.worlds import LLMWorld

FOLDER = "trackers"
"""Subfolder of a study's folder that holds what trackers write on this machine."""
PROJECT = "banditrft"
"""Project that runs are filed under."""


class Tracker(Protocol):
    """Shows the rounds of one run."""

    def round(self, round_: int, values: Mapping[str, float | None]) -> None:
        """Show a round's values by name; None is a value that was not measured."""
        ...

    def close(self) -> None:
        """Write out what is held back."""
        ...


def open_tracker(world: LLMWorld, run: Run, root: Path, done: int = 0) -> Tracker | None:
    """The tracker that a world asks for; None when it asks for none.

    Args:
        world: Its `tracker` names the service.
        run: The run that is shown, under its label and id.
        root: The study's folder.
        done: Rounds that the run goes on from; what was shown of later ones is superseded.

    Raises:
        InputError: The service's package is not installed.
    """
    if world.tracker is None:
        return None
    require_tracker(world)
    return _OPEN[world.tracker](run, root / FOLDER, done)


def require_tracker(world: LLMWorld) -> None:
    """Refuse a tracker whose package is not installed here, before anything is spent.

    Raises:
        InputError: Says what to install.
    """
    if world.tracker is not None and find_spec(world.tracker) is None:
        raise InputError(f"tracker: {world.tracker} is not installed here; pip install {world.tracker}")


def _measured(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


class _TensorBoard:
    """Event files, one folder per run."""

    def __init__(self, run: Run, folder: Path, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / run.run_id), purge_step=done + 1)
        if done == 0:
            self._writer.add_text("run", run.label(), 0)

    def round(self, round_: int, values: Mapping[str, float | None]) -> None:
        for name, value in _measured(values).items():
            self._writer.add_scalar(name, value, round_)

    def close(self) -> None:
        self._writer.close()


class _Service:
    """A run of Weights & Biases or of Trackio, whose run objects take the same calls."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def round(self, round_: int, values: Mapping[str, float | None]) -> None:
        self._handle.log(_measured(values), step=round_)

    def close(self) -> None:
        self._handle.finish()


def _wandb(run: Run, folder: Path, _done: int) -> Tracker:
    import wandb  # type: ignore[import-not-found, import-untyped, unused-ignore]

    folder.mkdir(parents=True, exist_ok=True)
    return _Service(
        wandb.init(
            project=PROJECT,
            id=run.run_id,
            name=run.label(),
            config=run.design.model_dump(mode="json"),
            dir=str(folder),
            resume="allow",
            reinit="create_new",
        )
    )


def _trackio(run: Run, _folder: Path, _done: int) -> Tracker:
    import trackio  # type: ignore[import-not-found, import-untyped, unused-ignore]

    name = f"{run.label()} {run.run_id}"
    config = run.design.model_dump(mode="json")
    return _Service(trackio.init(project=PROJECT, name=name, config=config, resume="allow", embed=False))


_OPEN: dict[str, Callable[[Run, Path, int], Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _wandb,
    "trackio": _trackio,
}
