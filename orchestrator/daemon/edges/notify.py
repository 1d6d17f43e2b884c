"""Telling people, by webhook, mail or MQTT: each target has a bounded queue of its own and bounded tries."""

from __future__ import annotations

import asyncio
import json
import logging
import smtplib
import ssl
import urllib.error
import urllib.request
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.daemon.edges.backoff import Backoff
from orchestrator.daemon.edges.config import EmailConfig, NotifyConfig, WebhookConfig, secret
from orchestrator.daemon.edges.occasions import Notification, Occasions

if TYPE_CHECKING:
    from orchestrator.daemon.edges.mqtt import MqttEdge
    from orchestrator.daemon.facade import Conductor

_log = logging.getLogger("lumiflow.notify")

QUEUED = 64
TRIES = 10
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 300.0
SEND_TIMEOUT_S = 10.0
POLL_S = 30.0
"""How often syringes and waits are looked at."""


class Target(Protocol):
    """Somewhere to send to. ``name`` bears no secret."""

    name: str

    def send(self, notification: Notification) -> None:
        """Send it, waiting as long as that takes. Raises OSError when it did not arrive."""
        ...


class Webhook:
    """A POST of JSON. Redirects are not followed: the token is for this address."""

    def __init__(self, config: WebhookConfig, token: str | None) -> None:
        self.name = f"webhook {config.url.split('?')[0]}"
        self._url = config.url
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, notification: Notification) -> None:
        """See `Target`."""
        body = json.dumps(notification.as_dict()).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"}, method="POST")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        with self._opener.open(request, timeout=SEND_TIMEOUT_S):
            pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


class Email:
    """A plain mail."""

    def __init__(self, config: EmailConfig, password: str | None) -> None:
        self.name = f"mail by {config.host}"
        self._config = config
        self._password = password

    def send(self, notification: Notification) -> None:
        """See `Target`."""
        config = self._config
        mail = EmailMessage()
        mail["Subject"] = f"Lumiflow: {' '.join(notification.title.split())}"
        mail["From"], mail["To"] = config.sender, ", ".join(config.to)
        mail.set_content(f"{notification.text}\n\n{notification.utc}\n")
        context = ssl.create_default_context()
        try:
            if config.security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    config.host, config.port, timeout=SEND_TIMEOUT_S, context=context
                )
            else:
                server = smtplib.SMTP(config.host, config.port, timeout=SEND_TIMEOUT_S)
            with server:
                if config.security == "starttls":
                    server.starttls(context=context)
                if config.username is not None and self._password is not None:
                    server.login(config.username, self._password)
                server.send_message(mail)
        except smtplib.SMTPException as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


class Courier:
    """Carries notifications to one target, one after the other."""

    def __init__(self, target: Target, pool: ThreadPoolExecutor, *, first_wait_s: float = FIRST_WAIT_S) -> None:
        self.target = target
        self.delivered = 0
        self.given_up = 0
        self._pool = pool
        self._first_wait_s = first_wait_s
        self._waiting: deque[Notification] = deque(maxlen=QUEUED)
        self._something = asyncio.Event()

    def take(self, notification: Notification) -> None:
        """Queue it; the oldest of too many is dropped."""
        if len(self._waiting) == QUEUED:
            self.given_up += 1
        self._waiting.append(notification)
        self._something.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            while self._waiting:
                await self._deliver(self._waiting.popleft())
            self._something.clear()
            await self._something.wait()

    async def _deliver(self, notification: Notification) -> None:
        backoff = Backoff(self._first_wait_s, LONGEST_WAIT_S)
        loop = asyncio.get_running_loop()
        for number in range(1, TRIES + 1):
            try:
                await loop.run_in_executor(self._pool, self.target.send, notification)
            except (OSError, ValueError) as error:
                words = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
                tries = f"try {number} of {TRIES}"
                _log.warning("%s: %r not delivered, %s: %s", self.target.name, notification.title, tries, words)
                if number < TRIES:
                    await asyncio.sleep(backoff.next_s())
            else:
                self.delivered += 1
                return
        self.given_up += 1
        _log.error("%s: %r is given up", self.target.name, notification.title)


class Notifier:
    """Finds the occasions of one ``notify:`` section and hands them to its targets."""

    def __init__(
        self,
        config: NotifyConfig,
        conductor: Conductor,
        beside: Path,
        mqtt: MqttEdge | None,
        *,
        first_wait_s: float = FIRST_WAIT_S,
        poll_s: float = POLL_S,
    ) -> None:
        """Raises SecretMissing. ``beside``: the folder of the daemon's file."""
        self._conductor = conductor
        self._mqtt = mqtt if config.mqtt else None
        self._poll_s = poll_s
        self._occasions = Occasions(config.on, config.reagent_low, config.waiting_s)
        self._pool = ThreadPoolExecutor(max(len(config.webhooks) + len(config.emails), 1), thread_name_prefix="notify")
        targets: list[Target] = [
            Webhook(hook, None if hook.token_file is None else secret(hook.token_file, beside))
            for hook in config.webhooks
        ]
        targets += [
            Email(mail, None if mail.password_file is None else secret(mail.password_file, beside))
            for mail in config.emails
        ]
        self.couriers = tuple(Courier(target, self._pool, first_wait_s=first_wait_s) for target in targets)
        self._subscription = conductor.feed.subscribe(topics=("event", "alarm"), bound=1024, overflow="drop_oldest")

    async def run(self) -> None:
        """Watch and tell until cancelled."""
        try:
            await asyncio.gather(self._listen(), self._look(), *(courier.run() for courier in self.couriers))
        finally:
            self._subscription.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _listen(self) -> None:
        async for notice in self._subscription:
            self._tell(self._occasions.of_notice(notice))

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._tell(self._occasions.of_state(await self._conductor.state(), loop.time()))
            await asyncio.sleep(self._poll_s)

    def _tell(self, notifications: list[Notification]) -> None:
        for notification in notifications:
            for courier in self.couriers:
                courier.take(notification)
            if self._mqtt is not None:
                self._mqtt.notify(notification.as_dict())
