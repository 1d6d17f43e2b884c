"""Whatever is sent: the API answers as its description says, and never with an error of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.orchestrator.daemon.http.pretend import RUN, WRITE, description
from tests.orchestrator.journals import write_run
from tests.security.threaded import in_a_thread, real_daemon

REFUSALS = [400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422]
CONFIG = {
    "auth": {"openapi": {"HTTPBearer": {"bearer": WRITE}}},
    "checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}},
}
SCHEMA = schemathesis.openapi.from_dict(description(), config=schemathesis.Config.from_dict(CONFIG))
# An operation that is none has no ok() and ends all of this.
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}  # type: ignore[union-attr]
# Words in a campaign's text that are no campaign fit the description, and are refused all the same.
EXCLUDED = [positive_data_acceptance]


def _cases() -> Iterator[Any]:
    """Every operation, with requests that fit its description and, where it takes any input, with others."""
    for label, operation in OPERATIONS.items():
        yield pytest.param(label, GenerationMode.POSITIVE, id=f"{label} fitting")
        if "{" in label or "parameters" in operation.definition.raw or "requestBody" in operation.definition.raw:
            yield pytest.param(label, GenerationMode.NEGATIVE, id=f"{label} not fitting")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "runs").mkdir()
    write_run(folder / "runs" / f"{RUN}.sqlite")
    with in_a_thread(real_daemon(folder)) as running:
        running.server.api.closing.set()  # event streams end at once
        yield running.server.url


@pytest.mark.parametrize(("label", "mode"), list(_cases()))
def test_no_request_finds_a_server_error(url: str, label: str, mode: GenerationMode) -> None:
    fuzz(url, label, mode, examples=10)


@pytest.mark.long
@pytest.mark.parametrize(("label", "mode"), list(_cases()))
def test_no_request_of_many_finds_a_server_error(url: str, label: str, mode: GenerationMode) -> None:
    fuzz(url, label, mode, examples=500)


def fuzz(url: str, label: str, mode: GenerationMode, *, examples: int) -> None:
    """Send generated requests to one operation, those that fit its description or those that do not."""
    health = list(HealthCheck)

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=health)
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        case.call_and_validate(base_url=url, excluded_checks=EXCLUDED, timeout=30.0)

    send()


def test_the_description_covers_every_route_and_every_refusal() -> None:
    paths = description()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            answers = set(operation["responses"])
            assert {"400", "403", "404", "405", "421", "500"} <= answers, (method, path)
            assert path == "/api/health" or {"401", "503"} <= answers, (method, path)
            assert method == "get" or {"408", "413", "415", "422"} <= answers, (method, path)
