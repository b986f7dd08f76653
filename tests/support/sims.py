"""What tests of the lumped bandit against dense policies share."""

import numpy as np
import torch

from banditrft.design import Design


class Names:
    """Which arm each slot holds: lumps first, then arms in the order in which they were split off."""

    def __init__(self, sizes: list[int]) -> None:
        ends = np.cumsum(sizes)
        self.C = len(sizes)
        self.slots = [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]

    def drawn(self, pi: np.ndarray, point: float) -> int:
        total = np.array([pi[arms].sum() for arms in self.slots]).cumsum()
        return int(np.searchsorted(total, point * total[-1], side="right"))

    def name(self, slots: list[int], u: np.ndarray, signals: np.ndarray) -> list[int]:
        """The arm of each pull; any arm of the slot where the signal is zero."""
        born: dict[int, list[int]] = {}
        arms = []
        for slot, point, signal in zip(slots, u, signals, strict=True):
            lost = born.setdefault(slot, [])
            size = len(self.slots[slot]) + len(lost)
            if signal == 0.0 or slot >= self.C or size == 1:
                arms.append((self.slots[slot] + lost)[0])
            elif (which := int(point * size)) < len(lost):
                arms.append(lost[which])
            else:
                lost.append(self.slots[slot].pop())
                self.slots.append([lost[-1]])
                arms.append(lost[-1])
        return arms


def torch_optimiser(design: Design, *parameters: torch.Tensor) -> torch.optim.Optimizer:
    """torch's own; a gradient that is zero still moves Adam's moments and decays AdamW's parameters."""
    lr, betas, eps = design.learning_rate, design.betas, design.adam_eps
    if design.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps)
    if design.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, betas=betas, eps=eps, weight_decay=design.weight_decay)
    return torch.optim.SGD(parameters, lr=lr)
