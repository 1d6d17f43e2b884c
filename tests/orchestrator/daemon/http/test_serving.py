"""A server as a daemon's file asks for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.daemon.config import LoadedDaemon, load_daemon
from orchestrator.daemon.http import ServerRefused, serve_http, token_of
from orchestrator.daemon.http.server import HttpServer
from tests.orchestrator.daemon.http.pretend import RIG_TEXT, Pretend

Scene = Callable[[HttpServer], Awaitable[Any]]


def daemon_file(folder: Path, http: str) -> LoadedDaemon:
    (folder / "rig.yaml").write_text(RIG_TEXT)
    path = folder / "daemon.yaml"
    path.write_text(f"kind: daemon\nrigs:\n  bench:\n    file: rig.yaml\nhttp: {{{http}}}\n")
    return load_daemon(path)


def play(folder: Path, http: str, scene: Scene) -> Any:
    conductor = Pretend(folder)
    loaded = daemon_file(folder, http)

    async def main() -> Any:
        server = await serve_http(conductor, loaded)
        try:
            return await scene(server)
        finally:
            await server.stop()

    return asyncio.run(main())


def test_the_token_lies_beside_the_daemons_file_and_opens_the_door(tmp_path: Path) -> None:
    async def scene(server: HttpServer) -> int:
        headers = {"authorization": f"Bearer {token_of(tmp_path / 'lumiflow.tokens')}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, verify=False) as client:
            return (await client.get("/api/state")).status_code

    assert play(tmp_path, "port: 0", scene) == 200
    assert os.name != "posix" or stat.S_IMODE((tmp_path / "lumiflow.tokens").stat().st_mode) == 0o600


def test_beyond_the_loopback_without_tls_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ServerRefused, match="in the clear"):
        play(tmp_path, "port: 0, host: 0.0.0.0", lambda server: asyncio.sleep(0))


def test_an_exposed_token_file_keeps_it_from_starting(tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("file modes are POSIX's")
    (tmp_path / "lumiflow.tokens").write_text(f"operator write {'a' * 40}\n")
    (tmp_path / "lumiflow.tokens").chmod(0o644)
    with pytest.raises(ServerRefused, match="chmod 600"):
        play(tmp_path, "port: 0", lambda server: asyncio.sleep(0))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command to make a certificate with")
def test_with_a_certificate_it_speaks_tls_and_nothing_else(tmp_path: Path) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True, timeout=60)

    async def scene(server: HttpServer) -> tuple[str, list[int]]:
        trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        headers = {"authorization": f"Bearer {token_of(tmp_path / 'lumiflow.tokens')}"}
        own = {"origin": f"https://127.0.0.1:{server.port}"}
        plain = {"origin": f"http://127.0.0.1:{server.port}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, verify=trusted) as client:
            statuses = [(await client.get("/api/state", headers=origin)).status_code for origin in (own, plain)]
        async with httpx.AsyncClient(verify=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{server.port}/api/health")
        return server.url.split(":")[0], statuses

    http = "port: 0, tls: {certificate: cert.pem, key: key.pem}"
    assert play(tmp_path, http, scene) == ("https", [200, 403])
