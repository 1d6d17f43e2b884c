"""The results file of replays: one line of JSON for each, written as it ends, read to go on from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import LumiflowError, UsageRefused
from orchestrator.pool.replay import Outcome

_BEGINNING = b'{"digest": "'
"""How every line begins."""


def read_results(path: Path) -> list[Outcome]:
    """The replays that a results file holds, as far as its lines are finished; none where there is no such file.

    Raises:
        UsageRefused: a file that cannot be read, or that is no results file.
    """
    data = _bytes(path)
    *lines, tail = data.split(b"\n")
    outcomes = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            entry |= {"reached": tuple(entry["reached"]), "seconds": tuple(entry["seconds"])}
            outcomes.append(Outcome(**entry))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise UsageRefused(_no_line(path, number, data)) from None
    if not _begins(tail):
        raise UsageRefused(_no_line(path, len(lines) + 1, data))
    return outcomes


def _bytes(path: Path) -> bytes:
    """What a file holds; nothing where there is none yet, or a device such as /dev/null."""
    try:
        if path.is_dir():
            raise UsageRefused(f"{path}: a folder, no results file")
        return path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise UsageRefused(f"{path}: no results file: {error.strerror}") from None


def _begins(data: bytes) -> bool:
    """Whether this may be the beginning of a line that was not finished, or of several lines; nothing is one too."""
    return _BEGINNING.startswith(data[: len(_BEGINNING)])


def _no_line(path: Path, number: int, data: bytes) -> str:
    hint = "--fresh begins anew" if _begins(data) else "nothing in it was changed"
    return f"{path}:{number}: not a line of a results file; {hint}"


class ResultsFile:
    """A results file that is being written: with ``fresh`` from its beginning, otherwise behind its finished lines.

    Its methods raise UsageRefused for a file that cannot be written, or that is no results file and would be lost; and
    LumiflowError where a later line cannot be written.
    """

    def __init__(self, path: Path, *, fresh: bool) -> None:
        data = _bytes(path)
        if fresh and not _begins(data):
            raise UsageRefused(f"{path}: no results file, so --fresh does not overwrite it; name another one")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            if data:
                self._file.truncate(0 if fresh else data.rfind(b"\n") + 1)
        except OSError as error:
            raise UsageRefused(f"{path}: cannot be written: {error.strerror}") from None
        self.path = path

    def add(self, outcome: Outcome) -> None:
        """Write one replay, whole, before this returns."""
        left = memoryview((json.dumps(asdict(outcome)) + "\n").encode())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise LumiflowError(f"{self.path}: cannot be written any more: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
