"""When people are told: pure bookkeeping over what the daemon publishes and how its rigs stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from orchestrator.canonical import JSON
from orchestrator.daemon.edges.config import Occasion

if TYPE_CHECKING:
    from orchestrator.daemon.facade import DaemonState, RigState
    from orchestrator.daemon.feed import Notice

WAITING = ("paused", "held", "tripped", "fault")
"""States of a rig in which nothing goes on until a person does something."""


@dataclass(frozen=True)
class Notification:
    """What a person is told. ``title`` is one line; ``data`` the same for programs."""

    occasion: Occasion
    rig: str
    title: str
    text: str
    utc: str
    data: Mapping[str, JSON] = field(default_factory=dict)

    def as_dict(self) -> dict[str, JSON]:
        """The notification as plain JSON."""
        return asdict(self)


class Occasions:
    """Finds the occasions. Each is told once: a syringe again after it was filled, a wait again after it ended."""

    def __init__(self, on: tuple[Occasion, ...], reagent_low: float, waiting_s: float) -> None:
        self._on = on
        self._reagent_low = reagent_low
        self._waiting_s = waiting_s
        self._low: set[tuple[str, str]] = set()
        self._since: dict[str, tuple[str, float, bool]] = {}

    def of_notice(self, notice: Notice) -> list[Notification]:
        """The end of a run, or a latched interlock."""
        rig, data = notice.rig, notice.data
        if rig is None:
            return []
        if notice.topic == "event" and data.get("kind") == "ended" and "finish" in self._on:
            ended = data.get("data")
            said = ended if isinstance(ended, Mapping) else {}
            run, reason = data.get("run"), said.get("stop_reason")
            text = f"{run} on {rig} has ended after {said.get('experiments')} experiments: {reason}. "
            text += str(said.get("detail") or "")
            facts = {"run": run, "stop_reason": reason, "experiments": said.get("experiments")}
            return [Notification("finish", rig, f"{rig}: {run} has ended ({reason})", text.strip(), notice.utc, facts)]
        if notice.topic == "alarm" and "trip" in self._on:
            trip = data.get("trip")
            said = trip if isinstance(trip, Mapping) else {}
            what = f"{said.get('interlock')} on {said.get('device')}"
            read = f"{said.get('value')} {said.get('unit') or ''}".strip()
            text = f"{what}: {read}, limit {said.get('limit')}. The rig goes safe and waits until a person clears it."
            return [Notification("trip", rig, f"{rig}: {what}", text, notice.utc, dict(said))]
        return []

    def of_state(self, state: DaemonState, now_s: float) -> list[Notification]:
        """Syringes that have run low, and rigs that have waited too long. ``now_s``: any clock that only goes on."""
        found: list[Notification] = []
        for name, rig in state.rigs.items():
            if "reagent_low" in self._on:
                found += self._lows(name, rig, state.utc)
            if "waiting" in self._on:
                found += self._waits(name, rig, state.utc, now_s)
        return found

    def _lows(self, name: str, rig: RigState, utc: str) -> list[Notification]:
        found = []
        for pump, syringe in rig.syringes.items():
            if syringe.left_ul is None:
                continue
            share = syringe.left_ul / syringe.volume_ul if syringe.volume_ul > 0.0 else 0.0
            key = (name, pump)
            if share > self._reagent_low:
                self._low.discard(key)
            elif key not in self._low:
                self._low.add(key)
                left = f"{syringe.left_ul / 1000:.2f} of {syringe.volume_ul / 1000:.0f} mL of {syringe.stock} left"
                data = {"pump": pump, "stock": syringe.stock, "left_ul": syringe.left_ul}
                found.append(Notification("reagent_low", name, f"{name}: {pump} runs low", left, utc, data))
        return found

    def _waits(self, name: str, rig: RigState, utc: str, now_s: float) -> list[Notification]:
        before, since_s, told = self._since.get(name, ("", now_s, False))
        if rig.state != before:
            since_s, told = now_s, False
        due = rig.state in WAITING and not told and now_s - since_s >= self._waiting_s
        self._since[name] = (rig.state, since_s, told or due)
        if not due:
            return []
        minutes = (now_s - since_s) / 60.0
        text = (
            f"{name} has been {rig.state} for {minutes:.0f} minutes and does nothing until somebody acts. {rig.detail}"
        )
        data = {"state": rig.state, "job": rig.job, "minutes": round(minutes, 1)}
        return [Notification("waiting", name, f"{name} waits for you ({rig.state})", text.strip(), utc, data)]
