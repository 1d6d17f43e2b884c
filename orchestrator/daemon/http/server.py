"""The server in the daemon's own loop: it takes no signals, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import uvicorn

from orchestrator.daemon.config import HttpConfig
from orchestrator.daemon.facade import Conductor
from orchestrator.daemon.http.api import Api
from orchestrator.daemon.http.app import guarded, make_app
from orchestrator.daemon.http.binding import ServerRefused, allowed_hosts, binding_of, listening_socket
from orchestrator.daemon.http.connections import Connections, protocol_class
from orchestrator.daemon.http.guard import MAX_HEADER_BYTES
from orchestrator.daemon.http.tokens import TokenBook

log = logging.getLogger("lumiflow.http")

GRACE_S = 3


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: signals are the daemon's."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """One listening server. Raises ServerRefused at construction and from `start`."""

    def __init__(
        self,
        conductor: Conductor,
        config: HttpConfig,
        tokens: TokenBook,
        rig_texts: Mapping[str, str],
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        connections: Connections | None = None,
    ) -> None:
        self._binding = binding_of(config)
        self._config = config
        self._scheme = "http" if certificate is None else "https"
        self._tls = None if certificate is None else _tls(certificate, key)
        self.connections = Connections() if connections is None else connections
        self.api = Api(conductor, rig_texts)
        self.app = make_app(self.api, _version())
        hosts = allowed_hosts(config, self._binding)
        self._guard = guarded(self.app, tokens, hosts, config.origins, scheme=self._scheme)
        self._server: _Server | None = None
        self._listener: socket.socket | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.port = config.port

    @property
    def url(self) -> str:
        """Where it listens."""
        address = self._binding.address
        return f"{self._scheme}://{f'[{address}]' if ':' in address else address}:{self.port}"

    def listen(self) -> None:
        """Take the address; who connects waits until `start`. Idempotent. Raises ServerRefused when it is taken."""
        if self._listener is None:
            self._listener = listening_socket(self._binding, self._config.port)
            self.port = int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Answer, from when this returns. Raises ServerRefused when the address is taken."""
        self.listen()
        listener, self._listener = self._listener, None
        assert listener is not None
        config = uvicorn.Config(
            self._guard,
            http=protocol_class(self.connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=GRACE_S,
        )
        if self._tls is not None:
            config.load()
            config.ssl = self._tls
        self._server = server = _Server(config)
        loop = asyncio.get_running_loop()
        serving = loop.create_task(server.serve(sockets=[listener]), name="http")
        self._tasks = [serving, loop.create_task(self.connections.keep_swept(), name="http sweep")]
        while not server.started:
            if serving.done():
                await serving
                raise ServerRefused(f"http: the server at {self.url} ended at once")
            await asyncio.sleep(0.005)
        log.info("listening at %s", self.url)

    async def stop(self) -> None:
        """End the streams, answer what has been asked, and stop listening. Idempotent."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._server is None:
            return
        self.api.closing.set()
        self._server.should_exit = True
        serving, sweeping = self._tasks
        sweeping.cancel()
        await asyncio.gather(serving, sweeping, return_exceptions=True)
        self._server = None


def _tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ServerRefused(f"http: certificate {certificate} with key {key} cannot be used: {error}") from error
    return context


def _version() -> str:
    try:
        return version("lumiflow")
    except PackageNotFoundError:
        return "0"
