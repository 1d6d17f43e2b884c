"""What devices of one role report, whatever their make: shared by the drivers of that role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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

    ``interruptions``: how often since ``connect`` it was found standing still in a wanted infusion and was set going
    again. ``lost_ul``: the part of ``infused_ul`` that no counter has seen, only reckoned as the most it can have been.
    """

    state: PumpState
    infused_ul: float
    withdrawn_ul: float
    alarm: str | None
    interruptions: int = 0
    lost_ul: float = 0.0
