"""The command line's end: whom it takes for the daemon, and what it says where nobody is it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.daemon.client import Client, CommandRefused
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.http import serve_http
from tests.orchestrator.daemon.desk import daemon_file
from tests.orchestrator.daemon.http.pretend import Pretend

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command to make a certificate with")


def certificate(folder: Path, name: str) -> None:
    """A certificate for a name under which others reach the daemon, signed by somebody whom nobody here knows."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", f"/CN={name}"]
    make += ["-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True, timeout=60)


def asked(folder: Path, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """What the command line hears from a daemon behind TLS. ``meanwhile``: what happens once that listens."""
    path = daemon_file(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls = "tls: {certificate: cert.pem, key: key.pem}"
    with path.open("a") as file:
        file.write(f"http: {{port: {port}, hosts: [lab-pc.example.org], {tls}}}\n")
    loaded, conductor = load_daemon(path), Pretend(folder)

    async def scene() -> dict[str, Any]:
        server = await serve_http(conductor, loaded)
        try:
            meanwhile()
            return await asyncio.to_thread(Client(loaded).state)
        finally:
            await server.stop()

    return asyncio.run(scene())


def test_it_speaks_to_a_daemon_whose_certificate_is_for_its_name_elsewhere(tmp_path: Path) -> None:
    certificate(tmp_path, "lab-pc.example.org")
    assert "bench" in asked(tmp_path)["rigs"]


def test_it_tells_no_token_to_who_shows_another_certificate(tmp_path: Path) -> None:
    certificate(tmp_path, "lab-pc.example.org")
    with pytest.raises(CommandRefused, match=r"does not show the certificate .*cert\.pem; nothing was sent"):
        asked(tmp_path, lambda: certificate(tmp_path, "lab-pc.example.org"))


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    certificate(tmp_path, "lab-pc.example.org")
    with pytest.raises(CommandRefused, match=r"cert\.pem: No such file"):
        asked(tmp_path, (tmp_path / "cert.pem").unlink)
