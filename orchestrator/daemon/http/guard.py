"""What every request passes before anything of it is interpreted: host, origin, token, path, and a body of fair size.

* Host: one of the names of the server. A page of another site that lets its own name point here (DNS rebinding) is
  refused before the token matters.
* Origin, Sec-Fetch-Site: where a browser says that another site's page asks, the answer is no.
* Token: in the header `Authorization: Bearer`, which no form or link of another site can set. What changes something
  wants a token that may write; a route is taken to change something unless it is known not to.
* Path: letters, digits and `-._~` between slashes, and what is not ASCII, encoded. An encoded slash, dot or NUL has no
  business here.
* Body: JSON, and read with a limit and a deadline before it is parsed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from orchestrator.daemon.http.errors import ApiError, encoded
from orchestrator.daemon.http.tokens import Token, TokenBook

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024
"""A campaign text of the largest size with every other character escaped, and the most archived experiments."""
BODY_LIMIT_S = 10.0
OPEN_PATHS = frozenset({"/api/health"})
READING_POSTS = frozenset({"/api/validate", "/api/explain"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_PATH = re.compile(rb"/(?:[A-Za-z0-9._~/-]|%[89A-Fa-f][0-9A-Fa-f])*")
_DOTS = re.compile(rb"(?:^|/)\.{1,2}(?:/|$)|//")
_JSON = re.compile(r"application/json(?:\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
_SECURITY = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Guard:
    """ASGI middleware. `hosts`: allowed names without port; `origins`: of other sites that may ask after all."""

    def __init__(
        self,
        app: AsgiApp,
        tokens: TokenBook,
        hosts: Iterable[str],
        origins: Iterable[str] = (),
        *,
        scheme: str = "http",
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._scheme = scheme

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        careful = _with_security_headers(send)
        try:
            self._admit(scope)
            body = await _body(scope, receive)
        except ApiError as error:
            await _refuse(error, careful)
            return
        await self._app(scope, _replayed(body, receive), careful)

    def _admit(self, scope: Scope) -> None:
        """Raise ApiError, or leave the token under scope["state"]["token"]."""
        _check_frame(scope)
        host = _one(scope, b"host")
        if host is None or _name_of(host) not in self._hosts:
            raise ApiError(421, "WrongHost", "this server does not answer to that host name")
        self._check_origin(scope, host)
        token: Token | None = None
        if scope["path"] not in OPEN_PATHS:
            token = self._identify(scope)
            writes = scope["method"] not in SAFE_METHODS and scope["path"] not in READING_POSTS
            if writes and token.role != "write":
                raise ApiError(403, "ReadOnly", f"the token of {token.name!r} may only read")
        path = scope.get("raw_path") or scope["path"].encode()
        if not _PATH.fullmatch(path) or _DOTS.search(path):
            raise ApiError(404, "NotFound", "there is nothing under such a path")
        scope.setdefault("state", {})["token"] = token

    def _check_origin(self, scope: Scope, host: str) -> None:
        origins = _all(scope, b"origin")
        own = f"{self._scheme}://{host}".lower()
        if any(origin.lower() != own and origin not in self._origins for origin in origins):
            raise ApiError(403, "WrongOrigin", "pages of other sites may not ask this server")
        sites = {site.lower() for site in _all(scope, b"sec-fetch-site")}
        if sites - {"same-origin", "none"} and not origins:
            raise ApiError(403, "WrongOrigin", "pages of other sites may not ask this server")

    def _identify(self, scope: Scope) -> Token:
        words = (_one(scope, b"authorization") or "").split(" ")
        presented = words[1] if len(words) == 2 and words[0].lower() == "bearer" else ""
        token = self._tokens.who(presented.encode("latin-1"))
        if token is None:
            message = "this needs a token, in the header Authorization: Bearer TOKEN"
            raise ApiError(401, "Unauthorized", message, {"www-authenticate": "Bearer"})
        return token


def _check_frame(scope: Scope) -> None:
    """The request's outline: of fair size, and with one way to say where it ends."""
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEADER_BYTES or len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_HEADER_BYTES:
        raise ApiError(431, "TooLong", f"headers and address may have {MAX_HEADER_BYTES} bytes each", CLOSE)
    names = {name.lower() for name, _ in scope["headers"]}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise ApiError(400, "Ambiguous", "the end of the body is told in two ways", CLOSE)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, for requests that may have one. Raises ApiError for what is not fair."""
    if scope["method"] in SAFE_METHODS:
        return b""
    length = _one(scope, b"content-length")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 16):
        raise ApiError(411, "BadLength", "Content-Length is no number")
    if length is not None and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            body = await _collected(receive)
    except TimeoutError:
        raise ApiError(408, "TooSlow", f"the body took longer than {BODY_LIMIT_S:g} s", CLOSE) from None
    kind = _one(scope, b"content-type")
    if _one(scope, b"content-encoding") is not None or (body and (kind is None or not _JSON.fullmatch(kind.strip()))):
        raise ApiError(415, "NotJson", "the body must be application/json, not compressed")
    return body


async def _collected(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ApiError(400, "Gone", "the client went away")
        parts += message.get("body", b"")
        if len(parts) > MAX_BODY_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_security_headers(send: Send) -> Send:
    async def careful(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            present = {name.lower() for name, _ in headers}
            message = {**message, "headers": headers + [entry for entry in _SECURITY if entry[0] not in present]}
        await send(message)

    return careful


async def _refuse(error: ApiError, send: Send) -> None:
    content = encoded(error.body())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


CLOSE = {"connection": "close"}


def _too_large() -> ApiError:
    return ApiError(413, "TooLarge", f"the body is larger than {MAX_BODY_BYTES} bytes", CLOSE)


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _one(scope: Scope, name: bytes) -> str | None:
    """A header's value; None when it is missing. One given twice is nobody's to interpret: ApiError."""
    values = _all(scope, name)
    if len(values) > 1:
        raise ApiError(400, "Ambiguous", f"the header {name.decode()} is given more than once")
    return values[0] if values else None


def _name_of(host: str) -> str:
    """A Host header without its port, in lower case; "" for nonsense."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host)
    return match[1].lower() if match else ""
