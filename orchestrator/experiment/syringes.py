"""What the syringes still hold while a campaign works, and what has to stay in them until it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.history.run_state import added

if TYPE_CHECKING:
    from orchestrator.config import RigConfig
    from orchestrator.history.run_log import RunLog
    from orchestrator.history.run_state import Volumes
    from orchestrator.rig.rig import Rig


class Syringes:
    """The syringes of one run, as its journal counts them.

    ``reserve_ul``: what the flushes at the end may take, by pump; None in a run that was begun before anything was kept
    back, which goes on as it began.
    """

    def __init__(self, rig: RigConfig, log: RunLog, reserve_ul: Volumes | None) -> None:
        self._rig = rig
        self._log = log
        self._reserve_ul = reserve_ul

    def lacking(self, needed_ul: Volumes) -> str | None:
        """Which syringe cannot give what an experiment takes, in words; None when all can."""
        return self._short_of(needed_ul, self._log.state.spent_ul, "the experiment")

    def unfilled(self, fill_ul: Volumes) -> str | None:
        """Why the line cannot be filled, in words; None where it can, or where nobody asked when the run began.

        What was broken off counts as drawn: nobody has looked yet whether it was.
        """
        if self._reserve_ul is None:
            return None
        return self._short_of(fill_ul, self._log.state.drawn_ul, "filling the line")

    def forbids_flush(self, pump: str) -> str | None:
        """Why a pump must not flush: a plunger at its stop stalls. None where it may."""
        if self._reserve_ul is None or self._left_ul(pump, self._log.state.spent_ul) > 0.0:
            return None
        return f"the syringe of {pump} counts as empty"

    async def last_count(self, rig: Rig) -> tuple[dict[str, float], tuple[str, ...]]:
        """What every pump has infused, and the pumps that could not be asked.

        Of those, all that their last order allowed counts as infused, and what the experiment that was under way should
        have needed if that is more: a ledger may promise too little, never too much.
        """
        state, ordered = self._log.state, rig.ordered_last
        used, lost = await rig.count_what_answers()
        doubt = state.in_doubt()
        for name in lost:
            more = max(ordered.get(name, 0.0), 0.0 if doubt is None else doubt.expected_ul.get(name, 0.0))
            full = self._rig.pump(name).holds_ul
            used[name] = min(max(used.get(name, 0.0), state.counted_ul.get(name, 0.0) + more), full)
        return used, lost

    def _short_of(self, needed_ul: Volumes, gone_ul: Volumes, what: str) -> str | None:
        for pump, needed in needed_ul.items():
            left, kept = self._left_ul(pump, gone_ul), (self._reserve_ul or {}).get(pump, 0.0)
            if needed + kept > left:
                beside = f" beside {kept / 1000:.2f} mL for the flush at the end" if kept else ""
                return f"{pump} holds {left / 1000:.2f} mL and {what} needs {needed / 1000:.2f} mL{beside}"
        return None

    def _left_ul(self, pump: str, gone_ul: Volumes) -> float:
        """What a syringe holds; below zero where more was debited than was in it."""
        return self._rig.pump(pump).holds_ul - added(gone_ul, self._log.state.missing_ul).get(pump, 0.0)
