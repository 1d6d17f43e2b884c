"""The records of a journal straight from the pages of its file, where SQLite finds no way to them.

Pages lead to pages, and the first one leads to all: where it is damaged, SQLite sees nothing, though the leaves hold
every record. They are read here by themselves, as SQLite's documentation of its file format describes them
(https://www.sqlite.org/fileformat2.html: b-tree pages 1.6, records 2.1, write-ahead log 4). Nothing that is read here
is believed before its hash agrees: of events along the chain, of blobs by their address, of facts of the host by their
check.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from orchestrator.journal.store import SCHEMA_VERSION, Event, blob_address, chain_hash, genesis, host_check

Value = None | int | float | str | bytes

TABLE_LEAF: Final = 13
INDEX_LEAF: Final = 10
FILE_HEADER: Final = 100
LOG_HEADER: Final = 32
FRAME_HEADER: Final = 24
PAGE_SIZES: Final = (4096, 1024, 2048, 8192, 16_384, 32_768, 65_536, 512)
_WHOLE: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Serial type of a whole number to its bytes."""


class NotARecord(ValueError):  # noqa: N818 - what the bytes are not
    """Bytes that hold no record, or one that is damaged."""


class Pages:
    """The pages of a database file as they are after what its write-ahead log has committed. Close it after use."""

    def __init__(self, path: Path, page_size: int) -> None:
        self.size = page_size
        self._file = path.open("rb")
        self._log: IO[bytes] | None = None
        self._in_log: dict[int, int] = {}
        self._in_file = path.stat().st_size // page_size
        log = path.with_name(path.name + "-wal")
        if log.is_file():
            self._log = log.open("rb")
            self._in_log = _committed(self._log, page_size)
        # A damaged log may name pages far behind the end of the file.
        self._numbers = sorted({*range(1, self._in_file + 1), *self._in_log})

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        if self._log is not None:
            self._log.close()

    def page(self, number: int) -> bytes:
        """One page, counted from 1. Raises NotARecord for one that is not there."""
        at = self._in_log.get(number)
        file, position = (self._file, (number - 1) * self.size) if at is None or self._log is None else (self._log, at)
        # What is no pointer may say any number, and not every file system looks for a place so far behind the end.
        if at is None and not 1 <= number <= self._in_file:
            raise NotARecord(f"there is no page {number}")
        file.seek(position)
        data = file.read(self.size)
        if len(data) != self.size:
            raise NotARecord(f"page {number} is not whole")
        return data

    def leaves(self, kind: int) -> Iterator[tuple[int, int]]:
        """(page, where its cell begins) for every cell of every leaf of a kind."""
        for number in self._numbers:
            try:
                page = self.page(number)
            except NotARecord:
                continue
            start = FILE_HEADER if number == 1 else 0
            if page[start] != kind:
                continue
            (cells,) = struct.unpack_from(">H", page, start + 3)
            if start + 8 + 2 * cells > self.size:
                continue
            for (at,) in struct.iter_unpack(">H", page[start + 8 : start + 8 + 2 * cells]):
                yield number, at

    def row(self, number: int, at: int) -> tuple[int, tuple[Value, ...]]:
        """(row's number, its values) of a cell of a table's leaf. Raises NotARecord."""
        page = self.page(number)
        length, at = _varint(page, at)
        row, at = _varint(page, at)
        return row, _values(self._payload(page, at, length, self.size - 35))

    def entry(self, number: int, at: int) -> tuple[Value, ...]:
        """The values of a cell of an index's leaf. Raises NotARecord."""
        page = self.page(number)
        length, at = _varint(page, at)
        return _values(self._payload(page, at, length, (self.size - 12) * 64 // 255 - 23))

    def _payload(self, page: bytes, at: int, length: int, most: int) -> bytes:
        """A cell's payload, with what has overflowed to other pages."""
        if length > len(self._numbers) * self.size:
            raise NotARecord("longer than the file")
        if length <= most:
            return page[at : at + length]
        least = (self.size - 12) * 32 // 255 - 23
        local = least + (length - least) % (self.size - 4)
        local = local if local <= most else least
        parts = [page[at : at + local]]
        (following,) = _unpacked(">I", page, at + local)
        left = length - local
        while left > 0:
            overflow = self.page(following)
            (following,) = struct.unpack_from(">I", overflow)
            parts.append(overflow[4 : 4 + min(left, self.size - 4)])
            left -= self.size - 4
        return b"".join(parts)


def _committed(log: IO[bytes], page_size: int) -> dict[int, int]:
    """Page to where its newest committed copy stands in the log; empty where the log is none.

    SQLite believes a log up to the first frame whose running check fails. That check is not made here, because what
    stands behind a damaged frame may be sound; whether it is, the chain will say. Frames of an earlier log end it.
    """
    header = log.read(LOG_HEADER)
    if len(header) < LOG_HEADER:
        return {}
    size, salts = struct.unpack_from(">I", header, 8)[0], header[16:24]
    if size != page_size:
        return {}
    found: dict[int, int] = {}
    pending: dict[int, int] = {}
    at = LOG_HEADER
    while len(frame := log.read(FRAME_HEADER + page_size)) == FRAME_HEADER + page_size:
        number, commit = struct.unpack_from(">2I", frame)
        if frame[8:16] != salts:
            break
        pending[number] = at + FRAME_HEADER
        if commit:
            found.update(pending)
            pending.clear()
        at += len(frame)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of variable length, and where it ends. Raises NotARecord."""
    value = 0
    for index in range(9):
        if at + index >= len(data):
            raise NotARecord("a number runs off its page")
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at + index + 1
    raise AssertionError("nine bytes have been read")


def _unpacked(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as error:
        raise NotARecord(str(error)) from error


def _values(payload: bytes) -> tuple[Value, ...]:
    """The values of a record. Raises NotARecord."""
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise NotARecord("a record of another length than it says")
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind == 7:
        (number,) = _unpacked(">d", payload, at)
        return number, at + 8
    length = _WHOLE.get(kind, (kind - 12) // 2 if kind >= 12 else -1)
    data = payload[at : at + length]
    if length < 0 or len(data) != length:
        raise NotARecord("a value runs off its record")
    if kind < 12:
        return int.from_bytes(data, "big", signed=True), at + length
    if kind % 2 == 0:
        return data, at + length
    try:
        return data.decode(), at + length
    except UnicodeDecodeError as error:
        raise NotARecord(str(error)) from error


@dataclass(frozen=True)
class Found:
    """What the pages hold.

    ``meta``: what the chain begins with; ``kept``: how many events follow from it, with all that they refer to;
    ``events``, ``blobs``: where each stands, as page and place on it; ``host``: its sound facts in their order.
    """

    meta: dict[str, str]
    kept: int
    page_size: int
    events: dict[int, list[tuple[int, int]]]
    blobs: dict[str, tuple[int, int]]
    host: tuple[tuple[int, str, str, str], ...]


def look_through(path: Path) -> Found | None:
    """Find the chain in a file's pages; None where there is none. Raises OSError."""
    size = path.stat().st_size
    for page_size in PAGE_SIZES:
        if size < page_size:
            continue
        with Pages(path, page_size) as pages:
            found = _look(pages)
        if found is not None:
            return found
    return None


def _look(pages: Pages) -> Found | None:
    events: dict[int, list[tuple[int, int]]] = {}
    blobs: dict[str, tuple[int, int]] = {}
    host: dict[int, tuple[int, str, str, str]] = {}
    for place in pages.leaves(TABLE_LEAF):
        try:
            row, values = pages.row(*place)
        except NotARecord:
            continue
        match values:
            case (None, str(), int() | float(), str(), str(), str(), str(), str()):
                events.setdefault(row, []).append(place)
            case (str(address), bytes(data)) if blob_address(data) == address:
                blobs[address] = place
            case (int(seq), str(key), str(text), str(check)) if host_check(seq, key, text) == check:
                host[row] = (seq, key, text, check)
    for meta in _metas(pages):
        found = Found(meta, 0, pages.size, events, blobs, tuple(fact for _, fact in sorted(host.items())))
        kept = sum(1 for _ in chain(pages, found))
        if kept:
            return Found(meta, kept, found.page_size, events, blobs, found.host)
    return None


def _metas(pages: Pages) -> Iterator[dict[str, str]]:
    """What the chain may begin with: what the pages say, or else what every journal says."""
    said: dict[str, str] = {}
    for place in pages.leaves(INDEX_LEAF):
        try:
            values = pages.entry(*place)
        except NotARecord:
            continue
        match values:
            case (str(key), str(value)):
                said[key] = value
    if said:
        yield said
    for version in range(SCHEMA_VERSION, 0, -1):
        for clock in ("wall", "virtual"):
            yield {"schema_version": str(version), "clock": clock}


def chain(pages: Pages, found: Found) -> Iterator[Event]:
    """The events in order, up to the first that is not there, does not follow, or refers to a blob that is lost."""
    previous, seq = genesis(found.meta), 1
    while (event := _following(pages, found.events.get(seq, []), seq, previous)) is not None:
        if not event.blobs() <= found.blobs.keys():
            return
        yield event
        previous, seq = event.hash, seq + 1


def _following(pages: Pages, places: list[tuple[int, int]], seq: int, previous: str) -> Event | None:
    for place in places:
        _, (_, utc, t_s, kind, data, calls, prev_hash, own) = pages.row(*place)
        event = Event(str(utc), float(t_s or 0.0), str(kind), str(data), str(calls), seq, str(prev_hash), str(own))
        if event.prev_hash == previous and chain_hash(previous, seq, event) == event.hash:
            return event
    return None


def blob(pages: Pages, found: Found, address: str) -> bytes:
    """The bytes of a blob that was found."""
    _, (_, data) = pages.row(*found.blobs[address])
    assert isinstance(data, bytes)
    return data
