"""The journal of one run: append-only, hash-chained, in one SQLite file; everything else is computed from it.

Writing. `append` puts one event, the device calls noted since the event before it, and the blobs that both refer to,
into the file in one transaction that is on the disk when it returns. Writes happen in one owner thread, never in one
that runs an event loop, in the order in which they were asked for. The file has one writer at a time, held by a lock
that dies with its process. `create`, `open` and `close` write and verify where they are called: a loop that must not
wait calls them in a worker.

Catching up. After `catch_up()` the run is lived through again from its start. `append` compares each regenerated event
with the stored one instead of writing, and raises `RecordDiffers` at the first that differs.

* On a journal open for writing, this brings twins back to where an interrupted run stood: past the last stored event,
  `append` writes again.
* On a journal open for reading, it is a replay: the order of events is the record's own (an event that comes early at
  its instant waits for its turn, for the calls recorded before it, and for its time), and past the last one `append`
  raises `EndOfRecord`. A record made by the wall's clock is followed in its times, and its durations may differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Lock

from orchestrator.canonical import JSON, canonical, parse
from orchestrator.clock.virtual_time import UtcClock
from orchestrator.errors import JournalError
from orchestrator.file_lock import FileLock
from orchestrator.journal.migration import migrate
from orchestrator.journal.record import EndOfRecord, Record, RecordDiffers, joined
from orchestrator.journal.recovery import Recovery, recover
from orchestrator.journal.seal import Mark, read_seal, seal, unsealed
from orchestrator.journal.store import (
    SCHEMA_VERSION,
    Draft,
    Event,
    JournalDamaged,
    blob_address,
    connect,
    create_file,
    host_check,
    read_events,
    read_meta,
    verify,
)

__all__ = [
    "EndOfRecord",
    "Event",
    "Journal",
    "JournalDamaged",
    "JournalLocked",
    "Record",
    "RecordDiffers",
    "Recovery",
    "dump",
    "recover",
]

RECENT_BLOBS = 64


class JournalLocked(JournalError):  # noqa: N818 - a state of the file
    """Another process writes to this journal."""


class Journal:
    """One run's journal. Make it with `create` or `open`; `close` it, or use it in a `with` statement."""

    def __init__(self, path: Path, clock: UtcClock | None, *, readonly: bool, lock: FileLock | None) -> None:
        """Not for callers: `create` and `open` hold the lock that this needs."""
        self.path = path
        self.readonly = readonly
        self._clock = clock
        self._lock = lock
        # A connection that can write tidies a log away as it closes, and what is damaged there could not be saved.
        with closing(connect(path, readonly=True)) as first:
            self._seq, self._head, self.last_t_s, self._first = verify(first, path)
        with contextlib.ExitStack() as opened:
            self._connection = opened.enter_context(closing(connect(path, readonly=readonly)))
            self._meta = read_meta(self._connection)
            self._reader = opened.enter_context(closing(connect(path, readonly=True)))
            self._sealed = False
            if not readonly:
                migrate(self._connection, path)
                self._sealed = read_seal(self._connection) != unsealed()
            opened.pop_all()
        self._reading = Lock()
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._closed = False
        self._failed: Exception | None = None
        self._noted: list[str] = []
        self._pending_blobs: dict[str, bytes] = {}
        self._recent_blobs: OrderedDict[str, bytes] = OrderedDict()
        self._record: Record | None = None

    @classmethod
    def create(cls, path: Path, clock: UtcClock) -> Journal:
        """Make a new journal and hold it for writing. Raises JournalError when the file exists."""
        lock = _locked(path)
        try:
            create_file(path, {"schema_version": str(SCHEMA_VERSION), "clock": "virtual" if clock.virtual else "wall"})
            with contextlib.suppress(OSError):
                lock.note("")  # the mark of an earlier journal of this name
            return cls(path, clock, readonly=False, lock=lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path, clock: UtcClock | None = None, *, readonly: bool = False) -> Journal:
        """Open a journal and verify all of it. Writing and catching up need the clock.

        Raises JournalError when it is no journal, JournalLocked when another process writes to it, and JournalDamaged
        naming the first record that cannot be trusted (`recover` keeps what precedes it).
        """
        if readonly:
            return cls(path, clock, readonly=True, lock=None)
        connect(path, readonly=True).close()  # before a lock is left beside what is none
        lock = _locked(path)
        try:
            return cls(path, clock, readonly=False, lock=lock)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def check_free(path: Path) -> None:
        """Raises JournalLocked when another process writes to a journal now."""
        _locked(path).release()

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def head(self) -> str:
        """Hash of the last event, which vouches for all of them."""
        return self._head

    @property
    def seq(self) -> int:
        """Sequence number of the last event in the file; 0 when there is none."""
        return self._seq

    @property
    def virtual(self) -> bool:
        """Whether the record was made in virtual time, so that it must repeat to the last bit."""
        return self._meta.get("clock") == "virtual"

    def events(self) -> Iterator[Event]:
        """Every stored event in order, checked against the chain. Raises JournalDamaged."""
        with self._reading:
            events = list(read_events(self._reader, self.path))
        return iter(events)

    def each(self) -> Iterator[Event]:
        """As `events`, but read one after the other as they are asked for: a run's device calls are many megabytes."""
        with closing(connect(self.path, readonly=True)) as connection:
            yield from read_events(connection, self.path)

    def blob(self, address: str) -> bytes:
        """The bytes kept under an address. Raises JournalError when there are none."""
        for kept in (self._pending_blobs, self._recent_blobs):
            if address in kept:
                return kept[address]
        with self._reading:
            row = self._reader.execute("SELECT data FROM blobs WHERE sha256 = ?", (address,)).fetchone()
        if row is None:
            raise JournalError(f"{self.path}: holds no spectrum {address!r}")
        return bytes(row[0])

    def host(self) -> tuple[tuple[int, str, JSON], ...]:
        """Facts of the host, outside the chain: (sequence number of the event before, key, value)."""
        with self._reading:
            rows = self._reader.execute("SELECT seq, key, value FROM host ORDER BY rowid").fetchall()
        return tuple((int(seq), str(key), parse(value)) for seq, key, value in rows)

    def dump(self) -> str:
        """Every event as one line of canonical JSON: equal texts for equal runs. Paths and host facts are left out."""
        lines = (canonical(event.row()) for event in self.events())
        return "".join(f"{line}\n" for line in lines)

    def now_s(self) -> float:
        """The run's time now. Raises JournalError for a journal that was opened without a clock."""
        if self._clock is None:
            raise JournalError(f"{self.path}: was opened without a clock")
        return self._clock.t_s()

    # -- writing ------------------------------------------------------------------------------------------------

    def note_call(self, call: Mapping[str, JSON]) -> None:
        """Keep a device call for the next event. Raises JournalError for what JSON cannot say."""
        self._noted.append(self._canonical("a device call", dict(call)))
        if self._record is not None:
            self._record.wake()

    def put_blob(self, data: bytes) -> str:
        """Keep bytes for the next event that refers to them; returns their address."""
        address = blob_address(data)
        self._pending_blobs[address] = data
        return address

    async def append(self, kind: str, data: Mapping[str, JSON], blobs: Iterable[bytes] = ()) -> Event:
        """Write one event, with the calls and blobs since the one before; it is on the disk when this returns.

        While catching up: compare it with the stored one, and return that.

        Raises JournalError when it cannot be said in JSON or written (a journal that failed once stays closed to
        writing), RecordDiffers while catching up, EndOfRecord past the end of a replay.
        """
        for blob in blobs:
            self.put_blob(blob)
        text = self._canonical(f"event {kind!r}", dict(data))
        record = self._record
        if record is not None and record.diverged is not None:
            raise record.diverged
        if record is not None and self.readonly:
            await asyncio.get_running_loop().run_in_executor(self._owner, _nothing)  # as many turns as a write takes
            return await record.follow(kind, text)
        clock = self._writable()
        t_s = clock.t_s() + 0.0  # SQLite keeps no negative zero
        utc = clock.at(t_s).isoformat(timespec="microseconds").replace("+00:00", "Z")
        draft = Draft(utc, t_s, kind, text, joined(self._noted))
        self._noted.clear()
        kept, self._pending_blobs = self._pending_blobs, {}
        self._remember(kept)
        if record is not None and record.ahead:
            job = partial(record.compare, record.take(), draft)
        else:
            job = partial(self._write, draft, kept)
        # The same way through the loop in both modes: twins must meet the same interleaving when they catch up.
        return await asyncio.get_running_loop().run_in_executor(self._owner, job)

    async def note_host(self, key: str, value: JSON) -> None:
        """Write a fact of the host (a path, a version, a wall time), outside the chain. Nothing on a replay."""
        if self.readonly:
            return
        self._writable()
        text = self._canonical(f"host fact {key!r}", value)
        await asyncio.get_running_loop().run_in_executor(self._owner, lambda: self._write_host(key, text))

    def close(self) -> None:
        """Finish what is being written, seal the file, let it go. Idempotent. Calls since the last event are dropped.

        A journal that failed to write, or that somebody reads meanwhile, is left without a seal: sound all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._owner.shutdown(wait=True)
        self._reader.close()
        self._connection.close()
        if self._lock is not None:
            if not self._sealed and self._failed is None:
                with contextlib.suppress(OSError, sqlite3.Error):
                    seal(self.path)
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- catching up --------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """From now on compare with the stored events, from the first one, until they are exhausted."""
        if self._clock is None:
            raise JournalError(f"{self.path}: catching up needs a clock")
        self._record = Record(self.path, tuple(self.events()), self._clock, self._noted, exact=self.virtual)

    @property
    def record(self) -> Record:
        """What is caught up with. Raises JournalError before `catch_up`."""
        if self._record is None:
            raise JournalError(f"{self.path}: is not being caught up with")
        return self._record

    @property
    def catching_up(self) -> bool:
        """Whether stored events are still ahead."""
        return self._record is not None and self._record.ahead

    def peek_next(self, kind: str) -> Event | None:
        """The next stored event of this kind still ahead while catching up, else None."""
        return None if self._record is None else self._record.peek(kind)

    def next_stored(self) -> Event | None:
        """The next stored event of any kind while catching up, else None."""
        return None if self._record is None else self._record.following

    # -- in the owner thread ------------------------------------------------------------------------------------

    def _write(self, draft: Draft, blobs: dict[str, bytes]) -> Event:
        if self._failed is not None:
            raise JournalError(f"{self.path}: an earlier write failed ({self._failed})") from self._failed
        event = Event.after(self._head, self._seq + 1, draft)
        try:
            with self._transaction() as connection:
                connection.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", blobs.items())
                connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", event.row())
        except (sqlite3.Error, OSError) as error:
            self._failed = error
            raise JournalError(f"{self.path}: event {event.seq} ({event.kind}) is not written: {error}") from error
        self._seq, self._head, self.last_t_s = event.seq, event.hash, event.t_s
        self._first = self._first or event.hash
        if self._lock is not None:
            with contextlib.suppress(OSError):  # the event is in the journal; the mark only helps to prove it
                self._lock.note(Mark(event.seq, event.hash, self._first).text())
        return event

    def _write_host(self, key: str, text: str) -> None:
        if self._failed is not None:
            raise JournalError(f"{self.path}: an earlier write failed ({self._failed})") from self._failed
        try:
            with self._transaction() as connection:
                check = host_check(self._seq, key, text)
                connection.execute("INSERT INTO host VALUES (?, ?, ?, ?)", (self._seq, key, text, check))
        except (sqlite3.Error, OSError) as error:
            self._failed = error
            raise JournalError(f"{self.path}: host fact {key!r} could not be written: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN, then COMMIT or ROLLBACK. Raises sqlite3.Error, OSError where the file is no longer in its place;
        RuntimeError in a thread that runs an event loop.
        """
        _refuse_event_loop(self.path)
        if not self.path.exists():  # POSIX lets go on writing what was deleted or moved, and nobody would find it
            raise FileNotFoundError("the file has been deleted or moved; put it back, beside its -wal")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._sealed:
                connection.execute("UPDATE seal SET text = ?", (unsealed(),))
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the first error counts
                    connection.execute("ROLLBACK")
            raise
        self._sealed = False

    # -- small things -------------------------------------------------------------------------------------------

    def _writable(self) -> UtcClock:
        if self._closed:
            raise JournalError(f"{self.path}: is closed")
        if self.readonly:
            raise JournalError(f"{self.path}: is open for reading only")
        if self._clock is None:
            raise JournalError(f"{self.path}: was opened without a clock")
        return self._clock

    def _canonical(self, what: str, value: JSON) -> str:
        try:
            return canonical(value)
        except ValueError as error:
            raise JournalError(f"{self.path}: {what} cannot be kept: {error}") from error

    def _remember(self, blobs: Mapping[str, bytes]) -> None:
        """Whoever stored a spectrum reads it back at once, perhaps before it is in the file."""
        self._recent_blobs.update(blobs)
        while len(self._recent_blobs) > RECENT_BLOBS:
            self._recent_blobs.popitem(last=False)


def _nothing() -> None:
    """What a replay writes."""


def _refuse_event_loop(path: Path) -> None:
    """A disk that takes its time must hold up nothing else in the thread that waits for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{path}: a commit in a thread that runs an event loop")


def dump(path: Path) -> str:
    """A journal file's events as `Journal.dump` gives them, to compare runs with. Raises JournalError."""
    with Journal.open(path, readonly=True) as journal:
        return journal.dump()


def _locked(path: Path) -> FileLock:
    try:
        return FileLock(path)
    except BlockingIOError as error:
        raise JournalLocked(f"{path}: another process is writing this journal") from error
    except OSError as error:
        raise JournalError(f"{path}: cannot be locked: {error}") from error
