"""What is printed where nobody can take it: nothing fails, standard error hears of it once, and the rest is dropped."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from orchestrator.console.outlet import Outlet, print_json, tell


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_reader_that_has_left_is_told_of_once_and_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Gone()
    outlet = Outlet(stream, "standard output")
    for _ in range(3):
        outlet.write("a line\n")
        outlet.flush()
    assert (stream.tries, outlet.failed) == (1, True)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "lumiflow: standard output takes no more ([Errno 32] Broken pipe); it ends nothing, and a journal has it all"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_a_full_disk_still_holds_does_not_fail_again_when_it_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as stream:
        outlet = Outlet(stream, "standard output")
        outlet.write("a line\n")
        outlet.flush()
    assert outlet.failed
    assert "No space left" in capsys.readouterr().err


def test_a_stream_that_is_closed_or_was_never_there_takes_nothing() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        outlet = Outlet(stream, "standard output")
        outlet.write("a line")
        outlet.flush()
        assert outlet.failed


def test_letters_that_the_stream_does_not_know_are_replaced() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    outlet = Outlet(stream, "standard output")
    outlet.write("80 µl/min\n")
    outlet.flush()
    assert raw.getvalue() == b"80 ?l/min\n"


def test_json_and_words_for_nobody_fail_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Gone())
    monkeypatch.setattr("sys.stderr", Gone())
    print_json({"stop_reason": "operator"})
    tell("a word")
