"""What devices of one role report, whatever their make: shared by the drivers of that role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class PumpState(StrEnum):
    """What the pump's motor does."""

    INFUSING = "infusing"
    WITHDRAWING = "withdrawing"
    STOPPED = "stopped"
    PAUSED = "paused"
    TIMED_PAUSE = "timed pause"
    WAITING = "waiting for trigger"
    PURGING = "purging"


@dataclass(frozen=True)
class PumpStatus:
    """State, volumes moved since ``connect`` (never reset in between), and a latched alarm in words.

    ``interruptions``: how often since ``connect`` it was found doing something else than it was told, as standing still
    in a wanted infusion, and was put right. ``lost_ul``: the part of ``infused_ul`` that no counter has seen, only
    reckoned as the most it can have been.
    """

    state: PumpState
    infused_ul: float
    withdrawn_ul: float
    alarm: str | None
    interruptions: int = 0
    lost_ul: float = 0.0


@dataclass(frozen=True)
class Look:
    """What a device says of itself when it is looked at and nothing is changed: for people, in words."""

    identity: str
    state: str
    reading: str


def pump_look(identity: str, status: PumpStatus) -> Look:
    """The status in words."""
    state = f"{status.state}{', alarm: ' + status.alarm if status.alarm else ''}"
    return Look(identity, state, f"{status.infused_ul:.4g} µL infused, {status.withdrawn_ul:.4g} µL withdrawn")


@dataclass(frozen=True)
class PortSettings:
    """How a serial port is set."""

    baud_rate: int
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E"] = "N"

    def __str__(self) -> str:
        return f"{self.baud_rate} {self.bytesize}{self.parity}1"


@dataclass(frozen=True)
class Found:
    """A device that :func:`drivers.identify.identify` found.

    ``kind`` is its driver ("modbus" for a unit whose registers are no known controller's), ``address`` its address in
    the words of its protocol ("" where it has none), ``identity`` its model and firmware as far as it tells them.
    ``settings`` are the port's when it answered, "" where the port has none.
    """

    kind: str
    address: str
    identity: str
    state: str
    reading: str
    settings: str = ""
