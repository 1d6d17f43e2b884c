"""``python -m orchestrator.planning_worker``: the planner in a process of its own, so that control never waits for it.

One question a line on standard input, one answer a line on standard output, both JSON. A question names a journal and
the event up to which it counts, because a proposal is a function of what the journal says and of nothing else:
``{"journal": path, "seq": last event, "ask": "propose" | "recommend", "n": experiment}``. An answer is
``{"data": ...}`` or ``{"error": words}``. It ends when its input does.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator import planning
from orchestrator.errors import JournalError
from orchestrator.fold import advance
from orchestrator.header import loaded_from
from orchestrator.journal_store import Event, connect, read_events
from orchestrator.run_state import RunState

if TYPE_CHECKING:
    from planners import Strategy

NICENESS = 10


class Answers:
    """Answers questions about journals, keeping the strategy and the state that the last one came to."""

    def __init__(self) -> None:
        self._header: dict[str, Any] | None = None
        self._strategy: Strategy | None = None
        self._path: Path | None = None
        self._last: Event | None = None
        self._state = RunState()

    def to(self, question: dict[str, Any]) -> Any:
        """The data of the event that is asked for. Raises LumiflowError and PlannerError."""
        state = self._read(Path(question["journal"]), question["seq"])
        header = dict(state.header)
        loaded = loaded_from(header)
        if self._strategy is None or self._header != header:
            self._header, self._strategy = header, planning.build_strategy(loaded.config)
        names = tuple(loaded.config.inputs)
        if question["ask"] == "propose":
            proposal = self._strategy.propose(planning.request(loaded.config, loaded.rig, state))
            return planning.proposed_data(loaded.config, loaded.rig, state, question["n"], proposal)
        request = planning.recommendation_request(loaded.config, loaded.rig, state)
        return planning.recommended_data(loaded.config, state, self._strategy.recommend(request), names)

    def _read(self, path: Path, seq: int) -> RunState:
        """A journal's state at an event. What the last question had read of the same journal is not read again."""
        if path != self._path or (self._last is not None and self._last.seq > seq):
            self._path, self._last, self._state = path, None, RunState()
        try:
            self._read_on(path, seq)
        except JournalError:
            if self._last is None:
                raise
            self._last, self._state = None, RunState()  # another journal may have come under this name
            self._read_on(path, seq)
        return self._state

    def _read_on(self, path: Path, seq: int) -> None:
        with closing(connect(path, readonly=True)) as connection:
            for event in itertools.takewhile(lambda event: event.seq <= seq, read_events(connection, path, self._last)):
                self._state, self._last = advance(self._state, event), event
        read = 0 if self._last is None else self._last.seq
        if read < seq:
            raise JournalError(f"{path}: has {read} events, not {seq}")


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer until there are no more questions."""
    answering = Answers()
    for line in questions:
        try:
            said: dict[str, Any] = {"data": answering.to(json.loads(line))}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to this question
            said = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def make_way() -> None:
    """Have this process compute when control has nothing to do, also where the daemon is scheduled in real time."""
    if sys.platform == "win32":
        return
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(NICENESS)


def main() -> None:
    """Serve standard input and output, out of the way of what controls a reactor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the daemon's to hear
    make_way()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    try:
        serve(sys.stdin, answers)
    except BrokenPipeError:  # whoever asked is dead, and nobody waits for the answer
        os._exit(0)


if __name__ == "__main__":
    main()
