"""What runs teach of their inputs, for their reports: worked out in another process, because it takes torch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.daemon.http.elsewhere import said_by

LIMIT_S = 120.0
KEPT = 32

Data = Mapping[str, Any]


class Explanations:
    """Asks once for each state of a journal and keeps the newest answers; one question at a time."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], Data] = {}
        self._asking = asyncio.Lock()

    async def of(self, path: Path) -> Data:
        """See `orchestrator.report.explaining.explain_run`. Raises JournalError."""
        told, cannot = await asyncio.to_thread(_first_look, path)
        if cannot is not None:
            return {"cannot": cannot}
        async with self._asking:
            if (path, told) not in self._known:
                try:
                    _, said = await said_by("explain", str(path), "--json", limit_s=LIMIT_S)
                except TimeoutError:
                    return {"cannot": f"the ensemble took longer than {LIMIT_S:g} s."}
                if "effects" not in said and "cannot" not in said:
                    return {"cannot": said.get("error", {}).get("message", "the ensemble's process died.")}
                self._known[path, told] = said
                while len(self._known) > KEPT:
                    del self._known[next(iter(self._known))]
            return self._known[path, told]


def _first_look(path: Path) -> tuple[int, str | None]:
    """How many experiments are done, and why nothing can be said of the inputs if that is seen without a model."""
    from orchestrator.history.fold import fold
    from orchestrator.journal.journal import Journal
    from orchestrator.report.explaining import question_of

    with Journal.open(path, readonly=True) as journal:
        state = fold(journal.events())
    asked = question_of(state)
    done = sum(experiment.told or experiment.refused is not None for experiment in state.experiments)
    return done, asked if isinstance(asked, str) else None
