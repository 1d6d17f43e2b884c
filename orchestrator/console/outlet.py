"""Standard output as far as it goes: a closed pipe, a full disk or a terminal that is gone ends no run."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import IO, Any


class Outlet:
    """A text stream that never fails: from its first failure on, which standard error is told, all is dropped.

    ``stream``: None where the program was started without one. ``name``: of it, in words.
    """

    def __init__(self, stream: IO[str] | None, name: str) -> None:
        self._stream = stream
        self._name = name
        self.failed = stream is None
        """Whether what is written is dropped."""

    def write(self, text: str) -> int:
        """Write as far as may be. Characters that the stream does not know become question marks."""
        if self._stream is not None and not self.failed:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError as error:
                    self._stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None and not self.failed:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        """Whether a person reads it on a terminal."""
        return self._stream is not None and not self.failed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)

    def _give_up(self, error: Exception) -> None:
        self.failed = True
        if self._stream is not None:
            _divert(self._stream)
        tell(f"lumiflow: {self._name} takes no more ({error}); it ends nothing, and a journal has it all")


def standard_output() -> Outlet:
    """This program's, as it is now."""
    return Outlet(sys.stdout, "standard output")


def print_json(facts: Mapping[str, Any]) -> None:
    """One line of JSON on standard output, as far as it goes."""
    out = standard_output()
    out.write(json.dumps(facts, allow_nan=False) + "\n")
    out.flush()


def tell(words: str) -> None:
    """Say a line on standard error, if anybody hears it."""
    if sys.stderr is None:
        return
    try:
        print(words, file=sys.stderr, flush=True)  # noqa: T201 - the one place for it
    except (OSError, ValueError):
        _divert(sys.stderr)


def _divert(stream: IO[str]) -> None:
    """What a stream still holds would fail again when the program ends, and change its exit code: let it go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
