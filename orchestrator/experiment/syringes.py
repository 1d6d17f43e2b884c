"""What the syringes still hold while a campaign works, and what has to stay in them until it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.history.run_state import added

if TYPE_CHECKING:
    from orchestrator.config import RigConfig
    from orchestrator.history.run_log import RunLog
    from orchestrator.history.run_state import Volumes


class Syringes:
    """The syringes of one run, as its journal counts them.

    ``missing_ul``: what they lacked of being full when the run began. ``reserve_ul``: what the flushes at the end may
    take, by pump; None in a run that was begun before anything was kept back, which goes on as it began.
    """

    def __init__(self, rig: RigConfig, log: RunLog, missing_ul: Volumes, reserve_ul: Volumes | None) -> None:
        self._rig = rig
        self._log = log
        self._missing_ul = missing_ul
        self._reserve_ul = reserve_ul

    def left_ul(self, pump: str) -> float:
        """What a syringe holds, in µL; below zero where more was debited than was in it."""
        gone = added(self._log.state.spent_ul, self._missing_ul)
        return self._rig.pump(pump).holds_ul - gone.get(pump, 0.0)

    def lacking(self, needed_ul: Mapping[str, float], what: str = "the experiment") -> str | None:
        """Which syringe cannot give what is needed and keep its reserve, in words; None when all can."""
        for pump, needed in needed_ul.items():
            left, kept = self.left_ul(pump), (self._reserve_ul or {}).get(pump, 0.0)
            if needed + kept > left:
                beside = f" beside {kept / 1000:.2f} mL for the flush at the end" if kept else ""
                return f"{pump} holds {left / 1000:.2f} mL and {what} needs {needed / 1000:.2f} mL{beside}"
        return None

    def unfilled(self, fill_ul: Mapping[str, float]) -> str | None:
        """Why the line cannot be filled, in words; None where it can, or where nobody asked when the run began."""
        return None if self._reserve_ul is None else self.lacking(fill_ul, "filling the line")

    def forbids_flush(self, pump: str) -> str | None:
        """Why a pump must not flush: a plunger at its stop stalls. None where it may."""
        if self._reserve_ul is None or self.left_ul(pump) > 0.0:
            return None
        return f"the syringe of {pump} counts as empty"
