"""A latched interlock: what was read against which limit, and what an error or a symptom of a device is as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.safety.symptoms import Symptom


@dataclass(frozen=True)
class Trip:
    """One latched interlock: what was read, against which limit, on which device."""

    interlock: str
    device: str
    value: float | str
    limit: float | str
    unit: str

    def __str__(self) -> str:
        return f"{self.interlock} on {self.device}: {self.value} {self.unit} (limit {self.limit} {self.unit})".rstrip()


def behind(trip: Trip, root: Trip | None) -> dict[str, str]:
    """What a record of a trip says besides its own fields: the root cause that it came behind, if it did."""
    return {} if root is None or root == trip else {"behind": str(root)}


def trip_of(error: Exception) -> Trip:
    """The trip that an error of a device is. Errors of a record bear the names of those they were."""
    device = getattr(error, "device", None) or "rig"
    kind = type(error).__name__
    if kind == "BrokenWireError":
        return Trip("broken wire", device, str(error), "a live transmitter", "")
    if kind == "DeviceAlarmError":
        return Trip("device alarm", device, str(error), "none", "")
    if kind in ("RefusedError", "ReadBackError", "OutOfRangeError"):
        return Trip("refused setting", device, str(error), "what was asked", "")
    return Trip("lost device", device, str(error), "an answer", "")


def tripped_by(device: str, symptom: Symptom | None) -> Trip | None:
    """The trip that a symptom is, if there is one."""
    if symptom is None:
        return None
    return Trip(symptom.interlock, device, symptom.value, symptom.limit, symptom.unit)
