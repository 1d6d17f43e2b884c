"""A disk between SQLite and the file system that keeps a log of what is written, and fails where it is told to.

SQLite reaches files through a table of functions (its VFS). `Disk` registers one in the library that Python's sqlite3
uses, which passes everything on to the system's own, notes writes, truncations, syncs and deletions, and can answer any
of them with an error instead. `after_power_loss` computes from the log what a disk could hold after the power failed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FULL = 13
IO_ERRORS = {"write": 10 | 3 << 8, "sync": 10 | 4 << 8, "truncate": 10 | 6 << 8, "delete": 10 | 10 << 8}
SECTOR = 512

_Int, _Ptr, _I64 = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_Int, _Ptr, _Ptr, _Ptr, _Int, _Ptr)  # parameters of a URI stand behind the name
_DELETE = ctypes.CFUNCTYPE(_Int, _Ptr, ctypes.c_char_p, _Int)
_CLOSE = ctypes.CFUNCTYPE(_Int, _Ptr)
_WRITE = ctypes.CFUNCTYPE(_Int, _Ptr, _Ptr, _Int, _I64)
_TRUNCATE = ctypes.CFUNCTYPE(_Int, _Ptr, _I64)
_SYNC = ctypes.CFUNCTYPE(_Int, _Ptr, _Int)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, third version."""

    _fields_ = (
        ("version", _Int),
        ("file_size", _Int),
        ("longest_path", _Int),
        ("next", _Ptr),
        ("name", ctypes.c_char_p),
        ("data", _Ptr),
        ("open", _Ptr),
        ("delete", _Ptr),
        *((f"other_{n}", _Ptr) for n in range(14)),
    )


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, third version."""

    _fields_ = (
        ("version", _Int),
        ("close", _Ptr),
        ("read", _Ptr),
        ("write", _Ptr),
        ("truncate", _Ptr),
        ("sync", _Ptr),
        *((f"other_{n}", _Ptr) for n in range(13)),
    )


@dataclass(frozen=True)
class Op:
    """One operation on a file: ``write`` of ``data`` at ``offset``, ``truncate`` to ``offset``, ``sync``, ``delete``,
    or ``acknowledged``, which the test itself notes, with a count as ``offset``."""

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """The log, and ``fails``: asked before each operation, answers with an SQLite error code or 0."""

    log: list[Op] = field(default_factory=list)
    fails: Callable[[int, Op], int] = lambda number, op: 0

    def acknowledge(self, count: int) -> None:
        """Note that so many records have been acknowledged by now."""
        self.log.append(Op("acknowledged", "", count))

    def meet(self, op: Op) -> int:
        """Note an operation; its error code."""
        number = len(self.log)
        self.log.append(op)
        return self.fails(number, op)


@contextmanager
def disk() -> Iterator[Disk]:
    """Have every database that this process opens meanwhile go through a `Disk`. Skips where that is not possible."""
    found = ctypes.util.find_library("sqlite3")
    if found is None:
        pytest.skip("SQLite is not a shared library here")
    library = ctypes.CDLL(found)
    library.sqlite3_vfs_find.restype = _Ptr
    library.sqlite3_vfs_register.argtypes = library.sqlite3_vfs_unregister.argtypes = [_Ptr]
    shim = _Shim(library.sqlite3_vfs_find(None))
    library.sqlite3_vfs_register(ctypes.byref(shim.vfs), 1)
    try:
        if not shim.in_use():
            pytest.skip("Python's sqlite3 brings a SQLite of its own")
        yield shim.disk
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(shim.vfs))


class _Shim:
    """The functions in between."""

    def __init__(self, below: int) -> None:
        self.disk = Disk()
        self._below = below
        self.vfs = _Vfs()
        ctypes.pointer(self.vfs)[0] = ctypes.cast(below, ctypes.POINTER(_Vfs))[0]
        self._open_below = _OPEN(self.vfs.open)
        self._delete_below = _DELETE(self.vfs.delete)
        self._kept = (_OPEN(self._open), _DELETE(self._delete))
        self.vfs.open = ctypes.cast(self._kept[0], _Ptr)
        self.vfs.delete = ctypes.cast(self._kept[1], _Ptr)
        self.vfs.name = b"lumiflow-test-disk"
        self.vfs.next = None
        self._tables: dict[int, tuple[_Methods, tuple[object, ...]]] = {}
        self._names: dict[int, str] = {}

    def in_use(self) -> bool:
        """Whether sqlite3 asks this VFS."""
        try:
            sqlite3.connect("file:?vfs=lumiflow-test-disk&mode=memory", uri=True).close()
        except sqlite3.OperationalError:
            return False
        return True

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = self._open_below(self._below, name, file, flags, out)
        methods = ctypes.cast(file, ctypes.POINTER(_Ptr))
        if methods[0] and name is not None:
            self._names[file] = Path(ctypes.string_at(name).decode()).name
            methods[0] = self._around(methods[0])
        return int(code)

    def _delete(self, vfs: int, name: bytes, sync: int) -> int:
        code = self.disk.meet(Op("delete", Path(name.decode()).name))
        return code or int(self._delete_below(self._below, name, sync))

    def _around(self, below: int) -> int:
        """Our own table of a file's functions; made once for each table of the system's."""
        if below not in self._tables:
            table = _Methods()
            ctypes.pointer(table)[0] = ctypes.cast(below, ctypes.POINTER(_Methods))[0]
            close, write = _CLOSE(table.close), _WRITE(table.write)
            truncate, sync = _TRUNCATE(table.truncate), _SYNC(table.sync)

            def on_close(file: int) -> int:
                self._names.pop(file, None)
                return int(close(file))

            def on_write(file: int, data: int, amount: int, offset: int) -> int:
                content = ctypes.string_at(data, amount)
                code = self.disk.meet(Op("write", self._names[file], offset, content))
                if code:
                    write(file, data, amount // 2, offset)  # a full disk takes what it can
                    return code
                return int(write(file, data, amount, offset))

            def on_truncate(file: int, size: int) -> int:
                return self.disk.meet(Op("truncate", self._names[file], size)) or int(truncate(file, size))

            def on_sync(file: int, flags: int) -> int:
                return self.disk.meet(Op("sync", self._names[file])) or int(sync(file, flags))

            functions = (_CLOSE(on_close), _WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync))
            for slot, function in zip(("close", "write", "truncate", "sync"), functions, strict=True):
                setattr(table, slot, ctypes.cast(function, _Ptr))
            self._tables[below] = (table, functions)
        return ctypes.addressof(self._tables[below][0])


@dataclass(frozen=True)
class Remains:
    """What a disk holds after a power failure: files, and how many records had been acknowledged before."""

    files: Mapping[str, bytes]
    acknowledged: int

    def lay_out(self, folder: Path) -> None:
        """Write the files into an empty folder."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


class PowerLoss:
    """Walks along a log; at each place it can say what a disk could hold if the power failed there.

    Synced bytes are on the disk. Of what was written since, nothing, everything, or any sectors may be there; the write
    that is under way may be torn at any byte. A deletion may or may not have happened until its file is made anew.
    """

    def __init__(self, log: list[Op], before: Mapping[str, bytes]) -> None:
        self._log = log
        self._durable: dict[str, bytearray] = {name: bytearray(content) for name, content in before.items()}
        self._unsynced: dict[str, list[Op]] = {}
        self._acknowledged = 0
        self.at = 0

    def step(self) -> Op:
        """Go past the next operation."""
        op = self._log[self.at]
        self.at += 1
        if op.kind == "acknowledged":
            self._acknowledged = op.offset
        elif op.name.endswith("-shm"):
            pass
        elif op.kind == "sync":
            self._durable[op.name] = self._with(op.name, self._unsynced.pop(op.name, []))
        elif op.kind == "delete":
            self._unsynced.pop(op.name, None)
            self._durable.pop(op.name, None)
        else:
            self._unsynced.setdefault(op.name, []).append(op)
        return op

    def next(self) -> Op | None:
        """The operation that would come next."""
        return self._log[self.at] if self.at < len(self._log) else None

    def nothing_more(self) -> Remains:
        """Whatever was not synced is lost."""
        return Remains({name: bytes(content) for name, content in self._durable.items()}, self._acknowledged)

    def torn(self, length: int) -> Remains:
        """Everything written is there, and the first bytes of the write that is under way."""
        op = self._log[self.at]
        return self._remains(lambda name, ops: ops, Op("write", op.name, op.offset, op.data[:length]))

    def sectors(self, draws: random.Random) -> Remains:
        """Any sectors of what was not synced are there."""

        def some(name: str, ops: list[Op]) -> list[Op]:
            kept = []
            for op in ops:
                if op.kind != "write":
                    kept += [op] if draws.random() < 0.5 else []
                    continue
                for start in range(0, len(op.data), SECTOR):
                    if draws.random() < 0.5:
                        kept.append(Op("write", name, op.offset + start, op.data[start : start + SECTOR]))
            return kept

        return self._remains(some)

    def _remains(self, choose: Callable[[str, list[Op]], list[Op]], more: Op | None = None) -> Remains:
        names = {*self._durable, *self._unsynced} | ({more.name} if more else set())
        files = {}
        for name in names:
            ops = choose(name, self._unsynced.get(name, []))
            if more is not None and more.name == name:
                ops = [*ops, more]
            files[name] = bytes(self._with(name, ops))
        return Remains(files, self._acknowledged)

    def _with(self, name: str, ops: list[Op]) -> bytearray:
        content = bytearray(self._durable.get(name, b""))
        for op in ops:
            if op.kind == "truncate":
                del content[op.offset :]
                content.extend(bytes(op.offset - len(content)))
            else:
                content.extend(bytes(max(op.offset + len(op.data) - len(content), 0)))
                content[op.offset : op.offset + len(op.data)] = op.data
        return content
