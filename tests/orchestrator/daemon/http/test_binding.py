"""Where the server may listen, and under which names it answers."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from orchestrator.daemon.config import HttpConfig
from orchestrator.daemon.http.binding import ServerRefused, allowed_hosts, binding_of, listening_socket
from orchestrator.daemon.http.server import HttpServer
from tests.orchestrator.daemon.http.pretend import Pretend, serving, tokens


def config(**given: Any) -> HttpConfig:
    return HttpConfig.model_validate({"port": 0, **given})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_what_others_can_reach_wants_tls(host: str) -> None:
    with pytest.raises(ServerRefused, match="in the clear"):
        binding_of(config(host=host))
    assert not binding_of(config(host=host, tls={"certificate": "c.pem", "key": "k.pem"})).loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_loopback_does_not(host: str) -> None:
    assert binding_of(config(host=host)).loopback


def test_a_host_that_is_no_address_is_named() -> None:
    with pytest.raises(ServerRefused, match=r"no-such-host\.invalid"):
        binding_of(config(host="no-such-host.invalid"))


def test_the_names_are_the_loopbacks_and_those_of_the_file() -> None:
    here = config(hosts=("Lab-PC.local",))
    assert allowed_hosts(here, binding_of(here)) == {"localhost", "127.0.0.1", "[::1]", "lab-pc.local"}
    tls = {"certificate": "c.pem", "key": "k.pem"}
    wide = config(host="0.0.0.0", tls=tls)
    assert allowed_hosts(wide, binding_of(wide)) == {"localhost", "127.0.0.1", "[::1]"}
    one = config(host="192.0.2.1", tls=tls)
    assert "192.0.2.1" in allowed_hosts(one, binding_of(one))


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerRefused, match=f"port {port}"):
            listening_socket(binding_of(config()), port)


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerRefused, match=r"c\.pem"):
        HttpServer(Pretend(tmp_path), config(), tokens(), {}, certificate=tmp_path / "c.pem", key=tmp_path / "k.pem")


def test_stopping_lets_the_port_go_at_once(tmp_path: Path) -> None:
    conductor = Pretend(tmp_path)

    async def scene() -> None:
        async with serving(conductor) as (server, _):
            port = server.port
        await server.stop()
        listening_socket(binding_of(config()), port).close()

    asyncio.run(scene())
