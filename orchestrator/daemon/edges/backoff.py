"""How long to wait before the next try: twice as long each time, within bounds, never quite the same twice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Waits from `first_s` up to `longest_s`; `reset` after a success."""

    first_s: float = 1.0
    longest_s: float = 60.0
    _tries: int = field(default=0, init=False)

    def next_s(self) -> float:
        """The next wait: within a quarter of first * 2**tries, so that a crowd does not come back at one instant."""
        wait_s = min(self.first_s * 2.0**self._tries, self.longest_s)
        self._tries = min(self._tries + 1, 32)
        return wait_s * random.uniform(0.75, 1.0)

    def reset(self) -> None:
        """The next wait is the first again."""
        self._tries = 0
