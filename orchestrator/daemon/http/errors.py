"""Every refusal and error has one shape: {"error": {"error": kind, "message": words, ...}}, as `--json` prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestrator.errors import (
    ConfigError,
    JournalError,
    LumiflowError,
    NotBegun,
    PreflightError,
    UnknownRun,
    UsageRefused,
)

STATUS_OF: Mapping[type[LumiflowError], int] = {
    ConfigError: 422,
    PreflightError: 422,
    UsageRefused: 422,
    UnknownRun: 404,
    NotBegun: 409,
    JournalError: 409,
}


class ProblemBody(BaseModel):
    """One thing wrong in one place of a text that was sent; line and column count from 1, 0 is the whole of it."""

    file: str
    line: int
    column: int
    path: str
    offending: str
    message: str
    allowed: str
    suggestion: str
    source: str


class ErrorDetail(BaseModel):
    """`error`: the kind, a word for programs. `message`: for people. `problems`: of a text, all at once."""

    model_config = ConfigDict(extra="allow")

    error: str
    message: str
    problems: list[ProblemBody] = []


class ErrorBody(BaseModel):
    """What every answer from 400 on contains."""

    error: ErrorDetail


class ApiError(Exception):
    """A refusal by the interface itself. `headers` go with the answer."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer's content."""
        return error_body(self.kind, self.message)


def error_body(kind: str, message: str, **state: Any) -> dict[str, Any]:
    """The content of an error's answer."""
    return {"error": {"error": kind, "message": message, **state}}


def encoded(value: Any) -> bytes:
    """JSON as bytes. Raises ValueError for NaN and infinity, which JSON does not have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def status_of(error: LumiflowError) -> int:
    """The status of an error of the orchestrator: the caller's fault where it is one, else 503."""
    return next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), 503)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the description: that these statuses come in the shape of an error."""
    return {status: {"model": ErrorBody, "description": WORDS[status]} for status in statuses}


WORDS: Mapping[int, str] = {
    400: "The request makes no sense.",
    401: "No token, or one that is not known.",
    403: "Asked from another site's page, or by a token that may only read.",
    404: "There is no such thing.",
    405: "This cannot be done here.",
    408: "The body did not arrive in time.",
    409: "It cannot be done as things stand; the answer says why.",
    411: "The length of the body is not a number.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "This server does not answer to that host name.",
    422: "What was sent is refused; the answer says what, where, and what is allowed.",
    431: "Headers or address are too long.",
    500: "A defect of the daemon; its log has the details.",
    503: "Not now: too many at once, or the daemon cannot do it.",
}
COMMON = (400, 401, 403, 404, 405, 421, 422, 431, 500, 503)
"""What any route behind the guard may answer."""
WITH_BODY = (408, 411, 413, 415)
"""What a route that takes a body may answer besides."""
