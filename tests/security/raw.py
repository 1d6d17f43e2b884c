"""HTTP as it is on the wire, so that a request may be anything."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An answer. `error`: the kind that its body names, or None."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> Any:
        try:
            return json.loads(self.body)["error"]["error"]
        except (ValueError, KeyError, TypeError):
            return None


def send(port: int, text: str | bytes) -> Reply:
    """Send bytes as they are, and read one answer to its end."""
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # refused before all of it was heard
            connection.sendall(data)
        return _read(connection)


def request(port: int, method: str, path: str, *headers: str, body: str = "") -> Reply:
    """One request with exactly these headers (and a length where there is a body)."""
    lines = [f"{method} {path} HTTP/1.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return send(port, "\r\n".join([*lines, "Connection: close", "", body]))


def _read(connection: socket.socket) -> Reply:
    received = b""
    while b"\r\n\r\n" not in received:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return Reply(0, {}, received)
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 1 << 20)):
        more = connection.recv(65536)
        if not more:
            break
        body += more
    return Reply(int(first.split(" ")[1]), headers, body)
