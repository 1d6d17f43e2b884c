"""What must not get in does not: no token, another site, another name, too much, and clever paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orchestrator.daemon.http.guard import MAX_BODY_BYTES
from tests.orchestrator.daemon.http.pretend import READ, RUN, WRITE, Pretend, description, server_for
from tests.security.raw import Reply, request, send
from tests.security.threaded import in_a_thread, started

JSON = "Content-Type: application/json"
PAUSE = json.dumps({"verb": "pause", "rig": "bench"})
TOKEN = f"Authorization: Bearer {WRITE}"


@dataclass(frozen=True)
class Door:
    """The server that is tried, and what came of it."""

    port: int
    conductor: Pretend

    @property
    def host(self) -> str:
        return f"Host: 127.0.0.1:{self.port}"

    def get(self, path: str, *headers: str) -> Reply:
        return request(self.port, "GET", path, *headers)

    def pause(self, *headers: str, body: str = PAUSE) -> Reply:
        return request(self.port, "POST", "/api/commands", *headers, body=body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    conductor = Pretend(tmp_path_factory.mktemp("runs"))
    with in_a_thread(started(server_for(conductor))) as running:
        yield Door(running.server.port, conductor)


@pytest.fixture
def door(server: Door) -> Iterator[Door]:
    """The server; whatever a test tried, no command has come through."""
    yield server
    assert server.conductor.heard == []


def test_with_everything_in_order_a_command_passes(server: Door) -> None:
    own = f"Origin: http://127.0.0.1:{server.port}"
    assert server.pause(server.host, TOKEN, JSON).status == 200
    assert server.pause(server.host, TOKEN, JSON, own, "Sec-Fetch-Site: same-origin").status == 409
    assert len(server.conductor.heard) == 2
    server.conductor.heard.clear()
    server.conductor.paused = False


@pytest.mark.parametrize(
    "header",
    [
        "X-Nothing: 1",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        f"Authorization: Bearer {'x' * 40}",
        f"Authorization: Bearer {WRITE[:-1]}",
        f"Authorization: Bearer {WRITE}w",
        f"Authorization: Bearer {WRITE} {WRITE}",
        f"Authorization: Basic {WRITE}",
        f"Authorization: {WRITE}",
        f"Cookie: token={WRITE}",
        f"X-Token: {WRITE}",
        "Authorization: Bearer \xff\xfe",
    ],
)
def test_without_a_known_token_nothing_passes(door: Door, header: str) -> None:
    for reply in (door.get("/api/state", door.host, header), door.pause(door.host, JSON, header)):
        assert (reply.status, reply.error) == (401, "Unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert b"bench" not in reply.body


def test_a_token_in_the_address_is_none(door: Door) -> None:
    assert door.get(f"/api/state?token={WRITE}&access_token={WRITE}", door.host).status == 401


def test_every_route_but_health_wants_a_token(door: Door) -> None:
    tried = 0
    for template, operations in description()["paths"].items():
        path = template.format(run=RUN, rig="bench", kind="rig", address="0" * 64, n=1)
        for method in operations:
            reply = request(door.port, method.upper(), path, door.host, JSON, body="{}" if method == "post" else "")
            assert (reply.status == 401) == (path != "/api/health"), (method, path, reply.status)
            tried += 1
    assert tried >= 14
    assert door.get("/api/openapi.json", door.host).status == 401
    assert door.get("/api/no-such-thing", door.host).status == 401


def test_a_read_only_token_changes_nothing_by_any_method(door: Door) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/commands", "/api/state", "/api/runs", "/anything"):
            reply = request(door.port, method, path, door.host, f"Authorization: Bearer {READ}", JSON, body=PAUSE)
            assert (reply.status, reply.error) == (403, "ReadOnly"), (method, path)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "169.254.169.254",
        "127.0.0.1@evil.example",
        "127.0.0.1:80:80",
        "127.0.0.1/",
        "",
        " ",
        "2130706433",
    ],
)
def test_another_name_is_not_answered_even_with_the_token(door: Door, host: str) -> None:
    for path in ("/api/state", "/api/health"):
        reply = door.get(path, f"Host: {host}", TOKEN)
        assert reply.status in (400, 421), reply
    assert door.pause(f"Host: {host}", TOKEN, JSON).status in (400, 421)


def test_no_host_and_two_hosts_are_refused(door: Door) -> None:
    assert door.get("/api/state", TOKEN).status == 400
    assert door.get("/api/state", door.host, "Host: evil.example", TOKEN).status == 400
    assert send(door.port, f"GET /api/state HTTP/1.0\r\n{TOKEN}\r\n\r\n").status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "[::1]:9000", "127.0.0.1"])
def test_the_loopbacks_own_names_are_answered_with_any_forwarded_port(door: Door, host: str) -> None:
    assert door.get("/api/state", f"Host: {host}", TOKEN).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: https://evil.example",),
        ("Origin: null",),
        ("Origin: ",),
        ("Origin: http://127.0.0.1",),  # another port is another site
        ("Origin: https://127.0.0.1:{port}",),
        ("Origin: http://localhost:{port}",),
        ("Origin: http://127.0.0.1:{port}.evil.example",),
        ("Origin: http://127.0.0.1:{port}", "Origin: https://evil.example"),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    ],
)
def test_a_page_of_another_site_is_refused_even_with_the_token(door: Door, headers: tuple[str, ...]) -> None:
    given = [header.format(port=door.port) for header in headers]
    for reply in (door.get("/api/state", door.host, TOKEN, *given), door.pause(door.host, TOKEN, JSON, *given)):
        assert (reply.status, reply.error) == (403, "WrongOrigin")
        assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize(
    "kind",
    [
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: application/jsonp",
        "Content-Type: text/plain; application/json",
        "X-None: 1",
    ],
)
def test_what_a_form_of_another_site_can_send_is_no_command(door: Door, kind: str) -> None:
    reply = door.pause(door.host, TOKEN, kind)
    assert (reply.status, reply.error) == (415, "NotJson")


def test_nothing_is_allowed_to_other_sites_beforehand(door: Door) -> None:
    asked = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    reply = request(door.port, "OPTIONS", "/api/commands", door.host, *asked)
    assert reply.status == 403
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(door: Door) -> None:
    head = ["POST /api/commands HTTP/1.1", door.host, TOKEN, JSON, f"Content-Length: {MAX_BODY_BYTES + 1}", "", ""]
    reply = send(door.port, "\r\n".join(head))
    assert (reply.status, reply.error) == (413, "TooLarge")


def test_a_body_that_becomes_too_large_is_cut_off(door: Door) -> None:
    head = ["POST /api/commands HTTP/1.1", door.host, TOKEN, JSON, "Transfer-Encoding: chunked", "", ""]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    reply = send(door.port, "\r\n".join(head).encode() + chunk * (MAX_BODY_BYTES // 0x10000 + 2))
    assert reply.status in (0, 413)  # the answer may be lost in what is still being sent


def test_a_large_body_without_a_token_is_not_even_read(door: Door) -> None:
    head = ["POST /api/commands HTTP/1.1", door.host, JSON, f"Content-Length: {MAX_BODY_BYTES}", "", ""]
    assert send(door.port, "\r\n".join(head)).status == 401


def test_large_headers_and_long_addresses_are_refused(door: Door) -> None:
    assert door.get("/api/state", door.host, TOKEN, f"X-Long: {'x' * 100_000}").status in (400, 431)
    assert door.get(f"/api/state?{'x' * 100_000}", door.host, TOKEN).status in (400, 431)
    many = [f"X-{n}: {'x' * 100}" for n in range(200)]
    assert door.get("/api/state", door.host, TOKEN, *many).status in (400, 431)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1, 2", "9" * 40, "+5"])
def test_a_length_that_is_none_is_refused(door: Door, length: str) -> None:
    head = ["POST /api/commands HTTP/1.1", door.host, TOKEN, JSON, f"Content-Length: {length}", "", PAUSE]
    assert send(door.port, "\r\n".join(head)).status in (400, 411, 413)


def test_two_ways_to_say_the_length_do_not_smuggle_a_second_request(door: Door) -> None:
    lines = ["POST /api/commands HTTP/1.1", door.host, TOKEN, JSON, f"Content-Length: {len(PAUSE)}", "", PAUSE]
    inner = "\r\n".join(lines)
    head = ["POST /api/validate HTTP/1.1", door.host, JSON, "Content-Length: 4", "Transfer-Encoding: chunked"]
    reply = send(door.port, "\r\n".join([*head, "", "0", "", inner]))
    assert (reply.status, reply.error) == (400, "Ambiguous")


@pytest.mark.parametrize(
    "body",
    ["", "{", "null", "[]", '"pause"', PAUSE + PAUSE, "NaN", "[" * 100_000, '{"verb":"pause","rig":"bench","rig":1}',
     '{"verb":"move","rig":"bench","job":"j","place":1e400}', '{"verb":"pause","rig":"\\ud800"}', "\xff\xfe"],
)  # fmt: skip
def test_a_body_that_is_no_command_is_refused(door: Door, body: str) -> None:
    reply = door.pause(door.host, TOKEN, JSON, body=body)
    assert reply.status in (400, 415, 422), reply


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/..",
        "/api/runs/../../etc/passwd",
        "/api/runs/..%2f..%2fetc%2fpasswd",
        "/api/runs/%2e%2e",
        "/api/runs/%2e%2e%2fgreen-0001",
        "/api/runs/..%5c..%5cwindows",
        "/api/runs/%00",
        f"/api/runs/{RUN}%00.html/report",
        f"/api/runs/{RUN}/../{RUN}",
        f"/api/runs/./{RUN}",
        f"/api/runs//{RUN}",
        f"//api/runs/{RUN}",
        f"/api//runs/{RUN}",
        "/api/runs/%c0%ae%c0%ae/events",
        "/api/runs/%252e%252e/events",
        "/api/runs/C:/events",
        "/api/runs/.hidden/events",
        "/api/runs/-/events",
        "/api/runs/green-0001.sqlite/events",
        "/api/runs/~/events",
        f"/api/runs/{RUN}/blobs/../../x",
        f"/api/runs/{RUN}/blobs/..",
        "/api/schema/../rig",
        "/api/schema/passwd",
        "http://evil.example/api/state",
        "/api/state/",
        "/api/State",
        "/api/state;x=1",
        "/api/state%20",
        "/",
        "/.git/config",
        "/docs",
        "/openapi.json",
    ],
)
def test_clever_paths_lead_nowhere(door: Door, path: str) -> None:
    reply = door.get(path, door.host, TOKEN)
    assert reply.status in (400, 404, 422), (reply.status, reply.body[:200])
    assert b"root:" not in reply.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "HEAD", "OPTIONS", "BREW"])
def test_other_methods_are_not_allowed(door: Door, method: str) -> None:
    reply = request(door.port, method, "/api/state", door.host, TOKEN)
    assert reply.status in (400, 404, 405), reply


def test_every_answer_forbids_what_a_browser_might_do_with_it(door: Door) -> None:
    for reply in (door.get("/api/state", door.host, TOKEN), door.get("/api/state", door.host), door.get("/x", TOKEN)):
        if reply.status == 400:  # refused before the application: no host at all
            continue
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "server" not in reply.headers


def test_a_proxys_words_are_not_believed(door: Door) -> None:
    said = ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1")
    assert door.get("/api/state", door.host, TOKEN, *said).status == 200
    assert door.get("/api/state", "Host: evil.example", "X-Forwarded-Host: localhost", TOKEN).status == 421
    https = f"Origin: https://127.0.0.1:{door.port}"
    assert door.get("/api/state", door.host, TOKEN, https, "X-Forwarded-Proto: https").status == 403


def test_a_wish_for_a_websocket_is_not_granted(door: Door) -> None:
    wish = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13")
    assert door.get("/api/events?after=x", door.host, *wish).status == 401
