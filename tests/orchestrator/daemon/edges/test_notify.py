"""People are told: over a real HTTP server and a real mail server, with bounded tries, and secrets stay secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.edges import NotifyConfig
from orchestrator.daemon.edges.backoff import Backoff
from orchestrator.daemon.edges.config import Occasion, SecretMissing, secret
from orchestrator.daemon.edges.notify import FIRST_WAIT_S, LONGEST_WAIT_S, QUEUED, TRIES, Notifier
from orchestrator.daemon.edges.occasions import Notification, Occasions
from orchestrator.daemon.facade import DaemonState
from orchestrator.daemon.feed import Feed
from tests.orchestrator.daemon.edges.brokers import UTC, Lone, free_port, rig_state, running

ALL: tuple[Occasion, ...] = ("finish", "trip", "reagent_low", "waiting")
TRIP = {"trip": {"interlock": "leak", "device": "mixer_pressure", "value": 12.0, "limit": 40.0, "unit": "kPa"}}


class Post(ThreadingHTTPServer):
    """Answers each POST with the next of ``answers`` (the last one for ever) and keeps what came."""

    def __init__(self, *answers: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook?room=3"


class _Handler(BaseHTTPRequestHandler):
    server: Post

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.server.authorizations.append(self.headers["Authorization"])
        answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(answer)
        if answer == 302:
            self.send_header("Location", self.path)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Silent."""


@contextlib.contextmanager
def post(*answers: int) -> Iterator[Post]:
    with Post(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def notifier(lone: Lone, beside: Path, **config: Any) -> Notifier:
    settings = NotifyConfig.model_validate(config)
    return Notifier(settings, lone, beside, None, first_wait_s=0.003, poll_s=0.02)


async def until(condition: Any, patience_s: float = 10.0) -> None:
    for _ in range(int(patience_s / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_a_webhook_hears_of_a_trip_and_its_token_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "hook.token").write_text("s3cret-token\n")

    async def main(server: Post) -> None:
        lone = Lone()
        hooks = ({"url": server.url, "token_file": "hook.token"},)
        telling = notifier(lone, tmp_path, webhooks=hooks)
        async with running(telling.run()):
            lone.feed.publish("bench", "alarm", TRIP, t_s=5.0, utc=UTC)
            await until(lambda: telling.couriers[0].delivered == 1)

    with post(500, 200) as server:
        run_real(main(server))
        assert [body["occasion"] for body in server.bodies] == ["trip", "trip"]  # refused once, then taken
        assert server.bodies[1]["title"] == "bench: leak on mixer_pressure"
        assert server.bodies[1]["data"]["limit"] == 40.0
        assert server.authorizations[1] == "Bearer s3cret-token"
    assert "s3cret-token" not in caplog.text


def test_a_target_that_is_away_for_five_minutes_still_hears_of_it() -> None:
    backoff = Backoff(FIRST_WAIT_S, LONGEST_WAIT_S)
    assert 9 * 60.0 < sum(backoff.next_s() for _ in range(TRIES - 1)) < 14 * 60.0


@pytest.mark.parametrize("answer", [500, 302])
def test_a_target_that_never_takes_it_is_given_up_after_a_few_tries(tmp_path: Path, answer: int) -> None:
    async def main(server: Post) -> None:
        lone = Lone()
        telling = notifier(lone, tmp_path, webhooks=({"url": server.url},))
        async with running(telling.run()):
            lone.feed.publish("bench", "alarm", TRIP, t_s=5.0, utc=UTC)
            await until(lambda: telling.couriers[0].given_up == 1)
        assert len(server.bodies) == TRIES

    with post(answer) as server:
        run_real(main(server))


def test_one_dead_target_does_not_hold_up_another(tmp_path: Path) -> None:
    async def main(server: Post) -> None:
        lone = Lone()
        hooks = ({"url": f"http://127.0.0.1:{free_port()}/"}, {"url": server.url})
        telling = notifier(lone, tmp_path, webhooks=hooks)
        async with running(telling.run()):
            for _ in range(3 * QUEUED):
                lone.feed.publish("bench", "alarm", TRIP, t_s=5.0, utc=UTC)
            await until(lambda: telling.couriers[1].delivered + telling.couriers[1].given_up >= 3 * QUEUED)
            assert telling.couriers[0].delivered == 0

    with post(200) as server:
        run_real(main(server))


def test_a_mail_arrives(tmp_path: Path) -> None:
    class Kept:
        def __init__(self) -> None:
            self.mails: list[Any] = []

        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
            self.mails.append(envelope)
            return "250 OK"

    kept = Kept()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()

    async def main() -> None:
        lone = Lone()
        mail = {
            "host": "127.0.0.1",
            "port": controller.port,
            "security": "none",
            "sender": "rig@lab.example",
            "to": ("anna@lab.example", "ben@lab.example"),
        }
        telling = notifier(lone, tmp_path, emails=(mail,))
        async with running(telling.run()):
            ended = {"stop_reason": "target_reproduced", "detail": "three agree", "experiments": 12}
            event = {"run": "quickstart-0001", "seq": 99, "kind": "ended", "data": ended}
            lone.feed.publish("bench", "event", event, t_s=5.0, utc=UTC)
            await until(lambda: telling.couriers[0].delivered == 1)

    try:
        run_real(main())
    finally:
        controller.stop()
    (mail,) = kept.mails
    assert mail.rcpt_tos == ["anna@lab.example", "ben@lab.example"]
    text = mail.content.decode()
    assert "Subject: Lumiflow: bench: quickstart-0001 has ended (target_reproduced)" in text
    assert "after 12 experiments" in text


def test_a_password_is_refused_where_everybody_could_read_it() -> None:
    mail = {"host": "mail", "security": "none", "password_file": "p", "sender": "a@b", "to": ("c@d",)}
    with pytest.raises(ValueError, match="everybody can read"):
        NotifyConfig.model_validate({"emails": (mail,)})


def test_a_secret_comes_from_a_file_or_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from a file \n")
    monkeypatch.setenv("LUMIFLOW_TEST_PASSWORD", "from outside")
    assert secret("password", tmp_path) == "from a file "
    assert secret("$LUMIFLOW_TEST_PASSWORD", tmp_path) == "from outside"
    for absent in ("nothing", "$LUMIFLOW_TEST_NOTHING"):
        with pytest.raises(SecretMissing, match=r"nothing|NOTHING"):
            secret(absent, tmp_path)


def state(**rigs: Any) -> DaemonState:
    return DaemonState(boot_id="b", version="0", started_utc=UTC, utc=UTC, rigs=rigs)


def test_a_low_syringe_is_told_once_and_again_after_it_was_filled() -> None:
    occasions = Occasions(ALL, 0.1, 600.0)
    told = [
        occasions.of_state(state(bench=rig_state(left_ul=left_ul)), 0.0)
        for left_ul in (5000.0, 1000.0, 900.0, 9000.0, 100.0)
    ]
    assert [len(found) for found in told] == [0, 1, 0, 0, 1]
    assert told[1][0].title == "bench: pb runs low"
    assert "1.00 of 10 mL of lead_bromide" in told[1][0].text


def test_a_rig_that_waits_for_a_person_is_told_of_once_each_time() -> None:
    occasions = Occasions(ALL, 0.1, 600.0)
    seen: list[list[Notification]] = []
    for now_s, standing in ((0.0, "running"), (100.0, "paused"), (600.0, "paused"), (700.0, "paused"), (9e3, "paused")):
        seen.append(occasions.of_state(state(bench=rig_state(standing, "by anna")), now_s))
    assert [len(found) for found in seen] == [0, 0, 0, 1, 0]
    assert seen[3][0].title == "bench waits for you (paused)"
    assert occasions.of_state(state(bench=rig_state("tripped")), 1e4) == []
    assert len(occasions.of_state(state(bench=rig_state("tripped")), 1.07e4)) == 1


def test_a_rig_that_works_or_has_nothing_to_do_waits_for_nobody() -> None:
    occasions = Occasions(ALL, 0.1, 600.0)
    for now_s in (0.0, 1e6):
        assert occasions.of_state(state(a=rig_state("running"), b=rig_state("idle")), now_s) == []


def test_only_what_was_asked_for_is_told() -> None:
    occasions = Occasions(("finish",), 0.1, 600.0)
    feed = Feed()
    assert occasions.of_notice(feed.publish("bench", "alarm", TRIP, t_s=0.0, utc=UTC)) == []
    assert occasions.of_state(state(bench=rig_state("fault", left_ul=0.0)), 1e9) == []
    ended = {"run": "a-1", "seq": 9, "kind": "ended", "data": {"stop_reason": "plateau", "experiments": 3}}
    assert len(occasions.of_notice(feed.publish("bench", "event", ended, t_s=0.0, utc=UTC))) == 1
