"""The application: routes, one shape for every error, and the guard before all of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from orchestrator.daemon.http import live, runs, texts
from orchestrator.daemon.http.api import Api, only_known_queries
from orchestrator.daemon.http.errors import ApiError, encoded, error_body, status_of
from orchestrator.daemon.http.guard import Guard
from orchestrator.daemon.http.tokens import TokenBook
from orchestrator.errors import LumiflowError

log = logging.getLogger("lumiflow.http")

DESCRIPTION = (
    "Everything that the command line can do. Every request but `/api/health` carries `Authorization: Bearer TOKEN`; "
    "every command is journalled with the name of its token. Errors have one shape, `ErrorBody`."
)


def make_app(api: Api, version: str) -> FastAPI:
    """The application without its guard, for descriptions and for what wraps it."""
    app = FastAPI(
        title="Lumiflow",
        description=DESCRIPTION,
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.api = api
    bearer = Security(HTTPBearer(auto_error=False, description="A token of the daemon's token file."))
    strict = Depends(only_known_queries)
    app.include_router(live.open_router, dependencies=[strict])
    for router in (live.router, runs.router, texts.router):
        app.include_router(router, dependencies=[bearer, strict])

    @app.get("/api/openapi.json", include_in_schema=False)
    async def description() -> dict[str, Any]:
        return app.openapi()

    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(LumiflowError, _failed)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)
    return app


def guarded(
    app: FastAPI, tokens: TokenBook, hosts: Iterable[str], origins: Iterable[str] = (), *, scheme: str = "http"
) -> Guard:
    """The application behind its guard: what a server serves."""
    return Guard(app, tokens, hosts, origins, scheme=scheme)


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(encoded(body), status, headers, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _json(error.status, error.body(), error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, LumiflowError):
        raise error
    status = status_of(error)
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return _json(status, {"error": error.as_dict()})


async def _not_valid(request: Request, error: Exception) -> Response:
    """A request that does not fit its description. What was sent is not repeated: it may be long."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        {
            "file": "request",
            "line": 0,
            "column": 0,
            "path": ".".join(str(step) for step in entry["loc"]),
            "offending": "",
            "message": str(entry["msg"]),
            "allowed": "",
            "suggestion": "",
            "source": "",
        }
        for entry in error.errors()[:50]
    ]
    words = "; ".join(f"{problem['path']}: {problem['message']}" for problem in problems)
    return _json(422, error_body("InvalidRequest", words.encode(errors="replace").decode(), problems=problems))


async def _http(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    if not isinstance(error, HTTPException):
        raise error
    kind = {404: "NotFound", 405: "NotAllowed"}.get(error.status_code, "BadRequest")
    return _json(error.status_code, error_body(kind, str(error.detail)), dict(error.headers or {}))


async def _defect(request: Request, error: Exception) -> Response:
    """A defect: the log has it (uvicorn writes the traceback), the answer does not."""
    log.error("%s %s failed: %r", request.method, request.url.path, error)
    return _json(500, error_body("Defect", "something is wrong with the daemon; its log has the details"))
