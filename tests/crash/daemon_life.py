"""One life of the daemon in a process of its own, which the kernel ends at a chosen moment, and what is left of it.

The daemon, its rig's journal and its campaign's journal are the product's own; only their files lie where the sweep
puts them. A life says through a pipe what was acknowledged to it, so that what is on the disk after its death can be
held against that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.campaign.campaign import Decider
from orchestrator.clock.virtual_time import run_real
from orchestrator.config import LoadedCampaign
from orchestrator.daemon import ears, rig_journal
from orchestrator.daemon.commands import COMMAND, Actor
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.ledger import Ledger, fold_rig
from orchestrator.daemon.planner_process import PlannerProcesses
from orchestrator.daemon.service import Daemon
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Event, Journal
from orchestrator.journal.store import Draft
from tests.crash.kill_sweep import campaign_file, contents, first_difference

RIG = "bench"
PATIENCE_S = 900.0
EDITS = {
    "target: 2.25 eV": "target: 1.75 eV",  # no recipe reaches it, so every experiment of the budget is made
    "range: [20 s, 300 s]": "range: [20 s, 60 s]",  # residence times: twins live faster through short ones
}

Side = Literal["before", "committed", "acknowledged"]


class Otherwise(Exception):
    """Something acknowledged is lost, or something is otherwise than without kills."""


@dataclass(frozen=True)
class Moment:
    """When the kernel ends a life.

    With a ``side``, from inside, at one event: number ``seq`` of the campaign's journal, or the life's first of a
    ``kind`` in the rig's. ``before``: its transaction is open; ``committed``: nobody has heard of that yet;
    ``acknowledged``: whoever wrote it was told. Without one, from outside: ``after_s`` on the wall after the life
    began, after the campaign's event ``seq`` was acknowledged, or after the planner was ``asked`` so many times.
    """

    seq: int | None = None
    kind: str | None = None
    side: Side | None = None
    asked: int | None = None
    after_s: float = 0.0


@dataclass
class Heard:
    """What a life had said when it ended: the newest acknowledged event of both journals, its accepted commands, how
    often the planner was asked, and how long each of its answers took, in s."""

    seq: int = 0
    rig_seq: int = 0
    commands: int = 0
    asked: int = 0
    answers_s: list[float] = field(default_factory=list)
    _asked_at_s: float = 0.0

    @property
    def proposing(self) -> bool:
        """Whether the planner owed an answer."""
        return self.asked > len(self.answers_s)

    def hear(self, word: str, number: int) -> None:
        """One line of the pipe."""
        if word == "event":
            self.seq = max(self.seq, number)
        elif word == "rig":
            self.rig_seq = number
        elif word == "command":
            self.commands += 1
        elif word == "asked":
            self.asked, self._asked_at_s = self.asked + 1, time.monotonic()
        elif word == "answered":
            self.answers_s.append(time.monotonic() - self._asked_at_s)

    def has(self, moment: Moment) -> bool:
        """Whether what the moment waits for has happened."""
        return self.seq >= (moment.seq or 0) and self.asked >= (moment.asked or 0)


class Folder:
    """One daemon's folder with one campaign in it, made anew."""

    def __init__(self, path: Path, experiments: int, strategy: str) -> None:
        self.path = path
        self.strategy = strategy
        self.commands = 0
        self.rig_events = 0
        path.mkdir(parents=True)
        self.campaign = campaign_file(path, experiments).read_text()
        for old, new in EDITS.items():
            assert old in self.campaign, old
            self.campaign = self.campaign.replace(old, new)
        (path / "daemon.yaml").write_text(f"kind: daemon\nrigs:\n  {RIG}: {{file: rig.yaml}}\n")

    @property
    def journal(self) -> Path:
        return self.path / "runs" / "quickstart-0001.sqlite"

    @property
    def rig_journal(self) -> Path:
        return self.path / "runs" / "rigs" / f"{RIG}.sqlite"

    def record(self) -> str:
        return contents(self.journal) if self.journal.exists() else ""

    def state(self) -> RunState:
        with Journal.open(self.journal, readonly=True) as journal:
            return fold(journal.events())

    def rig_record(self) -> tuple[Event, ...]:
        if not self.rig_journal.exists():
            return ()
        with Journal.open(self.rig_journal, readonly=True) as journal:
            return tuple(journal.events())

    def ledger(self) -> Ledger:
        return fold_rig(self.rig_record())

    @property
    def done(self) -> bool:
        return bool(self.ledger().ended)


@dataclass(frozen=True)
class Whole:
    """The uninterrupted life: its campaign's record, what it left in the syringes, how long it and each answer took."""

    record: str
    missing_ul: Mapping[str, float]
    wall_s: float
    answers_s: tuple[float, ...]

    @property
    def events(self) -> int:
        return self.record.count("\n")

    @classmethod
    def lived(cls, folder: Folder) -> Whole:
        began = time.monotonic()
        _, heard = life(folder, None)
        wall_s = time.monotonic() - began
        return cls(folder.record(), dict(folder.ledger().missing_ul), wall_s, tuple(heard.answers_s))

    def kept(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Whole:
        said = json.loads(path.read_text())
        return cls(**{**said, "answers_s": tuple(said["answers_s"])})


class _Say:
    """The life's end of the pipe: a line is in the kernel's hand when this returns, whatever happens then."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, word: str, number: int = 0) -> None:
        os.write(self._descriptor, f"{word} {number}\n".encode())


@dataclass(frozen=True)
class _Asking:
    """The planner, with a word for the pipe before and after each of its answers."""

    inner: Decider
    say: _Say

    async def propose(self, state: RunState, n: int) -> dict[str, Any]:
        self.say("asked")
        data = await self.inner.propose(state, n)
        self.say("answered")
        return data

    async def recommend(self, state: RunState) -> dict[str, Any] | None:
        self.say("asked")
        data = await self.inner.recommend(state)
        self.say("answered")
        return data


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _deadly(moment: Moment | None, folder: Folder, say: _Say) -> Iterator[None]:
    """In a child: say what is acknowledged, and die by the kernel's hand at the moment."""
    heard, appended = ears.Ears.event, rig_journal.RigJournal._append
    written, committed = Journal._write, Journal._transaction
    side = None if moment is None else moment.side
    due: set[Path] = set()

    def meant(path: Path, seq: int, kind: str) -> bool:
        if moment is None:
            return False
        if moment.kind is not None:
            return path == folder.rig_journal and kind == moment.kind
        return path == folder.journal and seq == moment.seq

    def event(self: ears.Ears, job: str, event: Event) -> None:
        heard(self, job, event)
        say("event", event.seq)
        if side == "acknowledged" and meant(folder.journal, event.seq, event.kind):
            _die()

    async def append(self: rig_journal.RigJournal, kind: str, data: Mapping[str, Any]) -> Event:
        event = await appended(self, kind, data)
        say("rig", event.seq)
        if side == "acknowledged" and meant(self.path, event.seq, kind):
            _die()
        return event

    def write(self: Journal, draft: Draft, blobs: dict[str, bytes]) -> Event:
        if side in ("before", "committed") and meant(self.path, self.seq + 1, draft.kind):
            due.add(self.path)
        return written(self, draft, blobs)

    @contextlib.contextmanager
    def transaction(self: Journal) -> Iterator[Any]:
        with committed(self) as connection:
            yield connection
            if side == "before" and self.path in due:
                _die()
        if self.path in due:
            _die()

    ears.Ears.event, rig_journal.RigJournal._append = event, append  # type: ignore[method-assign]
    Journal._write, Journal._transaction = write, transaction  # type: ignore[method-assign]
    try:
        yield
    finally:
        ears.Ears.event, rig_journal.RigJournal._append = heard, appended  # type: ignore[method-assign]
        Journal._write, Journal._transaction = written, committed  # type: ignore[method-assign]


async def _live(folder: Folder, say: _Say) -> None:
    """Submit what was not submitted, resume what was interrupted, wait for the end."""
    planners = PlannerProcesses()

    def decider(loaded: LoadedCampaign, journal: Path) -> Decider:
        return _Asking(planners.decider(loaded, journal), say)

    local = folder.strategy in ("sobol", "random")
    daemon = Daemon(load_daemon(folder.path / "daemon.yaml"), decider=None if local else decider)
    ada = Actor("ada", "cli")
    await daemon.start()
    rig = daemon.stations[RIG]

    async def ask(words: dict[str, Any]) -> None:
        outcome = await daemon.command(ada, COMMAND.validate_python(words))
        assert outcome.accepted, outcome.detail
        say("command")

    if not rig.ledger.jobs:
        overrides = {"seed": 3, "strategy": folder.strategy}
        await ask({"verb": "submit", "rig": RIG, "campaign": folder.campaign, "overrides": overrides})
    elif rig.standing()[0] == "paused":
        await ask({"verb": "resume", "rig": RIG})
    async with asyncio.timeout(PATIENCE_S):
        while not rig.ledger.ended or rig.standing()[0] == "ending":  # noqa: ASYNC110 - the journal knows it first
            await asyncio.sleep(0.02)
    assert rig.standing() == ("idle", ""), rig.standing()
    await daemon.close()
    planners.close()


def life(folder: Folder, moment: Moment | None) -> tuple[bool, Heard]:
    """One life: whether the kernel ended it, and what it said. Raises Otherwise when it ended badly by itself, or did
    not come to the event at which it was to be ended."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            logging.disable(logging.WARNING)
            say = _Say(writing)
            with _deadly(moment, folder, say):
                run_real(_live(folder, say))
        except BaseException as error:  # noqa: BLE001 - the child must not run on into its parent's code
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(9)
        os._exit(0)
    os.close(writing)
    heard = Heard()
    with os.fdopen(reading, "rb") as pipe:
        outside = moment is not None and moment.side is None
        if outside and moment is not None:
            waits = not heard.has(moment)
            while waits and (line := pipe.readline()):
                _hear(heard, line)
                waits = not heard.has(moment)
            time.sleep(0.0 if waits else moment.after_s)
            os.kill(child, signal.SIGKILL)
        for line in pipe:
            _hear(heard, line)
    _, status = os.waitpid(child, 0)
    struck = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not struck and (status != 0 or (moment is not None and not outside)):
        raise Otherwise(f"{folder.path.name}: a life ended by itself with status {status} before {moment}")
    folder.commands += heard.commands
    return struck, heard


def _hear(heard: Heard, line: bytes) -> None:
    word, _, number = line.decode().partition(" ")
    heard.hear(word, int(number))


def check(folder: Folder, moment: Moment, heard: Heard, whole: Whole) -> str:
    """After a kill: nothing acknowledged is lost, nothing is otherwise, and it struck where it was to strike.

    Returns the kind of the campaign's last event. Raises Otherwise.
    """
    name = f"{folder.path.name}, {moment}"
    record, rig = folder.record(), folder.rig_record()
    written, before = record.count("\n"), folder.rig_events
    folder.rig_events = len(rig)
    if not whole.record.startswith(record):
        raise Otherwise(f"{name}: not how the uninterrupted one begins:\n{first_difference(whole.record, record)}")
    if written < heard.seq or len(rig) < heard.rig_seq:
        raise Otherwise(f"{name}: {heard} acknowledged, {written} and {len(rig)} events in the journals")
    commands = sum(event.kind == "command" for event in rig)
    if commands < folder.commands:
        raise Otherwise(f"{name}: {folder.commands} commands acknowledged, {commands} in the rig's journal")
    if moment.side is not None and not _struck_at(moment, heard, written, rig, before):
        raise Otherwise(f"{name}: struck elsewhere: {heard}, {written} and {len(rig)} events")
    if not record:
        return "submitted" if commands else "nothing"
    return str(json.loads(record.splitlines()[-1])[3])


def _struck_at(moment: Moment, heard: Heard, written: int, rig: tuple[Event, ...], before: int) -> bool:
    """Whether the journals and what was heard agree with the side of the event at which the life was to end."""
    newest = max(heard.rig_seq, before)
    if moment.seq is not None:
        wanted = moment.seq - (moment.side == "before"), moment.seq - (moment.side != "acknowledged")
        return (written, heard.seq) == wanted
    if moment.side == "before":
        return len(rig) == newest
    return rig[-1].kind == moment.kind and len(rig) == newest + (moment.side == "committed")


def conclude(folder: Folder, whole: Whole) -> None:
    """Let the campaign come to its end, and hold it against the uninterrupted one. Raises Otherwise."""
    name = folder.path.name
    if not folder.done:
        life(folder, None)
    record, ledger, rig = folder.record(), folder.ledger(), folder.rig_record()
    if record != whole.record:
        raise Otherwise(f"{name}: ended otherwise:\n{first_difference(whole.record, record)}")
    told = [experiment.n for experiment in folder.state().told]
    if told != list(range(1, len(told) + 1)):
        raise Otherwise(f"{name}: told out of order or more than once: {told}")
    ends = sum(event.kind == "ended" for event in rig)
    if ends != 1 or ledger.present is not None or ledger.queue or dict(ledger.missing_ul) != dict(whole.missing_ul):
        raise Otherwise(f"{name}: the rig's journal says {ledger}")
    commands = sum(event.kind == "command" for event in rig)
    if commands < folder.commands:
        raise Otherwise(f"{name}: {folder.commands} commands acknowledged, {commands} journalled")
