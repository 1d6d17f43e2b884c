"""``python -m orchestrator.campaign.planning_worker``: the planner in its own process; control never waits for it.

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
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.campaign import planning
from orchestrator.campaign.header import loaded_from
from orchestrator.errors import JournalError
from orchestrator.history.fold import advance
from orchestrator.history.run_state import RunState
from orchestrator.journal.store import Event, connect, read_events

if TYPE_CHECKING:
    from planners import Strategy

NICENESS = 10


KEPT = 4
"""How many journals a process knows at once: as many rigs may ask it by turns before it reads one of them again."""


@dataclass
class _Known:
    """What has been made of one journal: its state at its last event read, and the strategy of its campaign."""

    state: RunState = field(default_factory=RunState)
    last: Event | None = None
    header: dict[str, Any] | None = None
    strategy: Strategy | None = None


class Answers:
    """Answers questions about journals, keeping the strategies and the states that the last ones came to."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, _Known] = OrderedDict()

    def to(self, question: dict[str, Any]) -> Any:
        """The data of the event that is asked for. Raises LumiflowError and PlannerError."""
        known = self._read(Path(question["journal"]), question["seq"])
        state = known.state
        header = dict(state.header)
        loaded = loaded_from(header)
        if known.strategy is None or known.header != header:
            known.header, known.strategy = header, planning.build_strategy(loaded.config)
        names = tuple(loaded.config.inputs)
        if question["ask"] == "propose":
            proposal = known.strategy.propose(planning.request(loaded.config, loaded.rig, state))
            return planning.proposed_data(loaded.config, loaded.rig, state, question["n"], proposal)
        request = planning.recommendation_request(loaded.config, loaded.rig, state)
        advice = planning.recommendation(known.strategy, request)
        return None if advice is None else planning.recommended_data(loaded.config, state, advice, names)

    def _read(self, path: Path, seq: int) -> _Known:
        """A journal's state at an event. What an earlier question had read of the same journal is not read again."""
        known = self._known.pop(path, None)
        if known is None or (known.last is not None and known.last.seq > seq):
            known = _Known()
        try:
            _read_on(path, seq, known)
        except JournalError:
            if known.last is None:
                raise
            known = _Known()  # another journal may have come under this name
            _read_on(path, seq, known)
        self._known[path] = known
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known


def _read_on(path: Path, seq: int, known: _Known) -> None:
    with closing(connect(path, readonly=True)) as connection:
        for event in itertools.takewhile(lambda event: event.seq <= seq, read_events(connection, path, known.last)):
            known.state, known.last = advance(known.state, event), event
    read = 0 if known.last is None else known.last.seq
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
