"""One writer per file: a lock of the operating system, which vanishes with the process that holds it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NOTE_AT = 16  # behind the byte that Windows locks
_NOTE_LENGTH = 240


def lock_path(path: Path) -> Path:
    """The file that carries the lock of a file."""
    return path.with_name(path.name + ".lock")


def read_note(path: Path) -> str:
    """What the last holder of a file's lock left; "" when there is nothing."""
    try:
        with lock_path(path).open("rb") as file:
            file.seek(_NOTE_AT)
            return file.read(_NOTE_LENGTH).decode("ascii", "replace").strip(" \0")
    except OSError:
        return ""


class FileLock:
    """An exclusive lock beside a file. Raises BlockingIOError at construction when another opener holds it.

    The lock lives on `NAME.lock`, not on the file itself, whose own POSIX locks SQLite uses and drops. The lock file
    stays behind on purpose: deleting it would let two openers lock two different files of one name. Its holder may keep
    a short note in it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise BlockingIOError(f"{path} is held by another process") from error

    def note(self, text: str) -> None:
        """Leave a line of ASCII for whoever comes next. Raises OSError; ValueError when it is too long."""
        if len(text) > _NOTE_LENGTH:
            raise ValueError(f"a note of {len(text)} characters; {_NOTE_LENGTH} fit")
        os.lseek(self._descriptor, _NOTE_AT, os.SEEK_SET)
        os.write(self._descriptor, text.encode("ascii").ljust(_NOTE_LENGTH))

    def release(self) -> None:
        """Let go. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)  # closing the only descriptor of this open file releases its lock
            self._descriptor = -1


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
