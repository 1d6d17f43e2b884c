"""The daemon's file: what is wrong in it is said in words that fit the place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.daemon.config import load_daemon
from orchestrator.errors import ConfigError
from tests.orchestrator.rehearsal import CONFIGS

RIG = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text("utf-8")


def problems(folder: Path, text: str) -> list[tuple[str, str]]:
    """(place, words) of all that is wrong with a daemon's file."""
    path = folder / "daemon.yaml"
    path.write_text(text, "utf-8")
    try:
        load_daemon(path)
    except ConfigError as error:
        return [
            (problem.path, " ".join(filter(None, (problem.message, problem.allowed)))) for problem in error.problems
        ]
    return []


def two_rigs(folder: Path, one: dict[str, str], other: dict[str, str]) -> list[tuple[str, str]]:
    """What is wrong with two rigs on hardware, each the bench with edits."""
    for name, edits in (("one", one), ("other", other)):
        text = RIG
        for old, new in edits.items():
            assert old in text, old
            text = text.replace(old, new)
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    rigs = "".join(f"  {name}: {{file: {name}.yaml, hardware: true}}\n" for name in ("one", "other"))
    return problems(folder, f"kind: daemon\nrigs:\n{rigs}")


@pytest.mark.skipif(os.name != "posix", reason="ports with names in the file system")
def test_one_port_under_two_names_or_at_two_speeds_is_one_port(tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/ttyUSB1")
    apart = {"/dev/ttyUSB0": "/dev/ttyUSB7", "/dev/ttyUSB1": "/dev/ttyUSB8"}
    apart["kind: usb"] = "kind: usb\n    serial_number: A"
    assert two_rigs(tmp_path, {}, apart) == []
    speeds = {**apart, "/dev/ttyUSB0": "/dev/ttyUSB0", "baud_rate: 19200": "baud_rate: 38400"}
    assert two_rigs(tmp_path, {}, speeds) == [("rigs.other", "shares /dev/ttyUSB0 with rig one")]
    names = {**apart, "/dev/ttyUSB1": str(tmp_path / "by-id")}
    assert two_rigs(tmp_path, {}, names) == [("rigs.other", "shares /dev/ttyUSB1 with rig one")]


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ("mqtt: {topic: 'lab/#'}", "mqtt.topic", "no / at its ends"),
        ("mqtt: embeded", "mqtt", "the word embedded"),
        ("mqtt: {password_file: p}", "mqtt", "give username"),
        ("mqtt: {ca_file: ca.pem}", "mqtt", "with tls: true only"),
        ("notify: [{webhooks: [{url: chat.lab}]}]", "notify[0].webhooks[0].url", "begins with http"),
        ("notify: [{emails: [{host: a, sender: b, to: [c@d]}]}]", "notify[0].emails[0].sender", "a mail address"),
        ("notify: [{emails: [{host: a, sender: b@c, to: [d]}]}]", "notify[0].emails[0].to[0]", "a mail address"),
        ("notify: [{emails: [{host: a, username: u, sender: b@c, to: [c@d]}]}]", "notify[0].emails[0]", "both"),
    ],
)
def test_what_is_wrong_is_told_once_and_in_words_of_its_own(
    tmp_path: Path, section: str, path: str, words: str
) -> None:
    (tmp_path / "rig.yaml").write_text(RIG, "utf-8")
    ((where, message),) = problems(tmp_path, f"kind: daemon\nrigs:\n  bench: {{file: rig.yaml}}\n{section}\n")
    assert where == path
    assert words in message
    assert "a name is a letter" not in message
