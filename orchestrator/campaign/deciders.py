"""Who answers the planner's questions: the planner itself, or the record of an earlier run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.campaign import planning
from orchestrator.config import LoadedCampaign
from orchestrator.history.run_state import RunState

if TYPE_CHECKING:
    from orchestrator.campaign.campaign import Decider
    from orchestrator.journal.journal import Journal
    from planners import Strategy

Data = dict[str, Any]


class LiveDecider:
    """Asks the campaign's strategy, in a worker thread so that control never waits for it."""

    def __init__(self, loaded: LoadedCampaign, strategy: Strategy | None = None) -> None:
        self._loaded = loaded
        self._strategy = strategy
        self._names = tuple(loaded.config.inputs)

    async def propose(self, state: RunState, n: int) -> Data:
        request = planning.request(self._loaded.config, self._loaded.rig, state)
        proposal = await asyncio.get_running_loop().run_in_executor(None, lambda: self._built().propose(request))
        return planning.proposed_data(self._loaded.config, self._loaded.rig, state, n, proposal)

    async def recommend(self, state: RunState) -> Data | None:
        if not planning.read_or_archived(state):
            return None
        request = planning.recommendation_request(self._loaded.config, self._loaded.rig, state)
        loop = asyncio.get_running_loop()
        advice = await loop.run_in_executor(None, lambda: planning.recommendation(self._built(), request))
        return None if advice is None else planning.recommended_data(self._loaded.config, state, advice, self._names)

    def _built(self) -> Strategy:
        if self._strategy is None:
            self._strategy = planning.build_strategy(self._loaded.config)
        return self._strategy


class ResumingDecider:
    """Takes the recorded answers for as long as the journal catches up, then asks the planner."""

    def __init__(self, journal: Journal, live: Decider) -> None:
        self._journal = journal
        self._live = live

    async def propose(self, state: RunState, n: int) -> Data:
        recorded = self._journal.peek_next("proposed")
        return await self._live.propose(state, n) if recorded is None else await _handed_over(dict(recorded.data))

    async def recommend(self, state: RunState) -> Data | None:
        recorded = self._journal.peek_next("recommended")
        if recorded is None and _without(self._journal, state):
            return None
        return await self._live.recommend(state) if recorded is None else await _handed_over(dict(recorded.data))


def _without(journal: Journal, state: RunState) -> bool:
    """Whether a record that goes on recommended nothing, because nothing had been read: in older ones archives alone
    were nothing to recommend from."""
    return journal.next_stored() is not None and not state.has_reading


async def _handed_over(data: Data) -> Data:
    """The data by way of a worker thread, as a live decision takes: other tasks must meet the same interleaving."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: data)


@dataclass(frozen=True)
class Comparison:
    """One decision made again: what the planner says now beside what it said then.

    ``agrees`` allows for torch's differences between machines: inputs within ``tolerance`` of their range.
    """

    what: str
    n: int | None
    recorded: Data
    recomputed: Data | None
    largest_difference: float
    agrees: bool


class ReplayDecider:
    """Makes every decision again, compares it with the record, and goes on with the recorded one."""

    def __init__(
        self,
        journal: Journal,
        live: LiveDecider,
        loaded: LoadedCampaign,
        report: Callable[[Comparison], None],
        tolerance: float = 1e-6,
    ) -> None:
        self._journal = journal
        self._live = live
        self._report = report
        self._tolerance = tolerance
        self._widths = {name: entry.high - entry.low for name, entry in loaded.config.inputs.items()}

    async def propose(self, state: RunState, n: int) -> Data:
        again = await self._live.propose(state, n)
        recorded = self._journal.peek_next("proposed")
        if recorded is None:
            return again
        self._compare("proposal", n, dict(recorded.data), again)
        return dict(recorded.data)

    async def recommend(self, state: RunState) -> Data | None:
        recorded = self._journal.peek_next("recommended")
        if recorded is None and _without(self._journal, state):
            return None
        again = await self._live.recommend(state)
        if recorded is None:
            return again
        self._compare("recommendation", None, dict(recorded.data), again)
        return dict(recorded.data)

    def _compare(self, what: str, n: int | None, recorded: Data, again: Data | None) -> None:
        difference = math.inf
        if again is not None:
            difference = max(
                abs(float(again["recipe"][name]) - float(recorded["recipe"][name])) / (width or 1.0)
                for name, width in self._widths.items()
            )
        self._report(Comparison(what, n, recorded, again, difference, difference <= self._tolerance))
