"""A daemon that cannot have what its file asks for: it says so, with exit code 2, and has touched no rig."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.daemon import __main__ as program
from orchestrator.daemon.service import Daemon
from orchestrator.errors import EXIT_REFUSED
from tests.orchestrator.daemon.desk import daemon_file


class RigTouchedError(Exception):
    """The daemon has gone as far as its rigs."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A daemon's file; a daemon that goes as far as its rigs ends by an exception."""

    async def touched(daemon: Daemon, *, paused: bool) -> None:
        raise RigTouchedError

    monkeypatch.setattr(Daemon, "start", touched)
    monkeypatch.setattr("signal.signal", lambda kind, handler: None)
    monkeypatch.setattr(program, "log_to_stderr", lambda: None)
    return daemon_file(tmp_path)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("http: {port: PORT}", "cannot listen on 127.0.0.1 port PORT"),
        ("http: {port: 0, token_file: rig.yaml}", "rig.yaml"),
        ("http: {port: 0, tls: {certificate: no.pem, key: no.key}}", "no.pem"),
        ("http: {port: 0}\nmqtt: {username: rig, password_file: no.password}", "no.password cannot be read"),
        ("http: {port: 0}\nmqtt: {tls: true, ca_file: no-ca.pem}", "no-ca.pem cannot be used"),
        ("http: {port: 0}\nnotify: [{webhooks: [{url: 'http://a', token_file: no.token}]}]", "no.token cannot be read"),
        ("http: {port: 0}\nruns: rig.yaml", "the folder of journals cannot be made"),
    ],
)
def test_what_the_file_asks_for_and_cannot_be_had_is_refused_before_any_rig_is_touched(
    file: Path, section: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with file.open("a") as daemon:
            daemon.write(section.replace("PORT", port) + "\n")
        assert program.main([str(file)]) == EXIT_REFUSED
    assert words.replace("PORT", port) in caplog.text


def test_with_all_that_it_asks_for_it_goes_on_to_its_rigs(file: Path) -> None:
    with file.open("a") as daemon:
        daemon.write("http: {port: 0}\n")
    with pytest.raises(RigTouchedError):
        program.main([str(file)])
