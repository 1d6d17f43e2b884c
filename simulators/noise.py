"""Seeded noise as a pure function of (seed, name, index), so that who reads when cannot change it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator of its own for each (seed, names...)."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in (seed, *names)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


class NoiseTable:
    """Standard normal numbers by index, made in fixed blocks and remembered for the latest block."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._name = name
        self._block = -1
        self._values: list[float] = []

    def __call__(self, index: int) -> float:
        block, place = divmod(index, _BLOCK)
        if block != self._block:
            values: NDArray[np.float64] = generator(self._seed, self._name, block).standard_normal(_BLOCK)
            self._values = values.tolist()
            self._block = block
        return self._values[place]
