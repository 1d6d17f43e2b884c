"""What goes wrong between a host and a device: bytes corrupted, replies lost or late, silence, a port that goes away.

Chances are drawn from a generator of this wire's own, so that a fault changes no other noise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from simulators.errors import SpecError
from simulators.links import Emit, Loop, StreamTwin


class WireFaults:
    """The faults of one port, for every link that goes through :meth:`around` and has this as its ``gate``.

    ``silent``: nothing passes either way. ``corrupted``: share of the bytes, both ways, that arrive as another byte.
    ``dropped``: share of the twin's replies that are lost. ``late_s``: how much later replies come.
    """

    def __init__(self, seed: int, name: str = "wire") -> None:
        self._random = random.Random(f"{seed} {name}")
        self._watchers: list[Callable[[], None]] = []
        self._lost = False
        self._corrupted = 0.0
        self._dropped = 0.0
        self._late_s = 0.0
        self.silent = False
        self.corrupted_bytes = 0
        self.dropped_replies = 0

    @property
    def corrupted(self) -> float:
        """Share of the bytes that are corrupted."""
        return self._corrupted

    @corrupted.setter
    def corrupted(self, share: float) -> None:
        self._corrupted = _share("corrupted", share)

    @property
    def dropped(self) -> float:
        """Share of the replies that are lost."""
        return self._dropped

    @dropped.setter
    def dropped(self, share: float) -> None:
        self._dropped = _share("dropped", share)

    @property
    def late_s(self) -> float:
        """Delay of each reply, s."""
        return self._late_s

    @late_s.setter
    def late_s(self, delay_s: float) -> None:
        if not (math.isfinite(delay_s) and delay_s >= 0.0):
            raise SpecError("WireFaults.late_s", delay_s, "0 or more")
        self._late_s = delay_s

    @property
    def lost(self) -> bool:
        """Whether the port is gone (a links.Gate)."""
        return self._lost

    def watch(self, went_away: Callable[[], None]) -> None:
        """Have ``went_away`` called each time the port goes away (a links.Gate)."""
        self._watchers.append(went_away)

    def lose_port(self) -> None:
        """Pull the adapter: whoever has the port open loses it, and it cannot be opened."""
        self._lost = True
        for went_away in self._watchers:
            went_away()

    def restore_port(self) -> None:
        """Put the adapter back; the port has to be opened anew."""
        self._lost = False

    def around(self, twin: StreamTwin) -> StreamTwin:
        """The twin as it is seen through this wire."""
        return _FaultyTwin(self, twin)

    def passed(self, data: bytes) -> bytes:
        """Bytes as they arrive at the other end."""
        if self.silent or self._lost:
            return b""
        if not self._corrupted:
            return data
        arrived = bytearray(data)
        for index, byte in enumerate(arrived):
            if self._random.random() < self._corrupted:
                arrived[index] = (byte + self._random.randrange(1, 256)) % 256
                self.corrupted_bytes += 1
        return bytes(arrived)

    def keeps(self) -> bool:
        """Whether the next reply gets through."""
        if not self._dropped or self._random.random() >= self._dropped:
            return True
        self.dropped_replies += 1
        return False


class _FaultyTwin:
    def __init__(self, faults: WireFaults, twin: StreamTwin) -> None:
        self._faults = faults
        self._twin = twin

    def attach(self, loop: Loop, emit: Emit) -> None:
        def send(data: bytes) -> None:
            if arrived := self._faults.passed(data):
                emit(arrived)

        def bent(data: bytes) -> None:
            if not self._faults.keeps():
                return
            if self._faults.late_s:
                loop.call_later(self._faults.late_s, send, data)
            else:
                send(data)

        self._twin.attach(loop, bent)

    def receive(self, data: bytes) -> None:
        if arrived := self._faults.passed(data):
            self._twin.receive(arrived)


def _share(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise SpecError(f"WireFaults.{name}", value, "0 to 1")
    return value
