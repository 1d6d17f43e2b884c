"""What the API answers, over a real socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.campaign.header import Overrides, header_of
from orchestrator.daemon.http.api import HEAVY_AT_ONCE, HEAVY_WAITING, Api
from orchestrator.daemon.http.errors import ApiError
from orchestrator.daemon.http.explanations import Data, Explanations
from orchestrator.daemon.http.pages import read_page
from orchestrator.journal.journal import JournalDamaged
from tests.orchestrator.daemon.http.pretend import CAMPAIGN_TEXT, READ, RIG_TEXT, RUN, Pretend, serving
from tests.orchestrator.journals import write_run
from tests.orchestrator.rehearsal import rehearse, small

Scene = Callable[[httpx.AsyncClient], Awaitable[Any]]
JSON = Any


@pytest.fixture
def conductor(tmp_path: Path) -> Pretend:
    return Pretend(tmp_path)


def with_client(conductor: Pretend, scene: Scene) -> Any:
    async def main() -> Any:
        async with serving(conductor) as (_, client):
            return await scene(client)

    return asyncio.run(main())


def get(conductor: Pretend, path: str) -> httpx.Response:
    response: httpx.Response = with_client(conductor, lambda client: client.get(path))
    return response


def post(conductor: Pretend, path: str, body: JSON) -> httpx.Response:
    response: httpx.Response = with_client(conductor, lambda client: client.post(path, json=body))
    return response


def test_health_needs_no_token_and_says_nothing_else(conductor: Pretend) -> None:
    async def scene(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/api/health", headers={"authorization": ""})

    assert with_client(conductor, scene).json() == {"status": "ok"}


def test_state_says_readings_that_are_no_numbers_as_null(conductor: Pretend) -> None:
    values = get(conductor, "/api/state").json()["rigs"]["bench"]["devices"]["heater"]["values"]
    assert values == {"temperature_c": 22.5, "output_fraction": None}


def test_one_rig_can_be_asked_for_and_an_unknown_one_is_named(conductor: Pretend) -> None:
    assert get(conductor, "/api/rigs/bench").json()["state"] == "idle"
    unknown = get(conductor, "/api/rigs/bank")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == "there is no rig 'bank'; there are bench"


def test_commands_carry_the_name_of_their_token(conductor: Pretend) -> None:
    answer = post(conductor, "/api/commands", {"verb": "submit", "rig": "bench", "campaign": CAMPAIGN_TEXT})
    assert (answer.status_code, answer.json()["job"]) == (200, "job-1")
    actor, command = conductor.heard[0]
    assert (actor.name, actor.via, command.verb) == ("operator", "http", "submit")


def test_a_command_repeated_is_answered_and_not_an_error(conductor: Pretend) -> None:
    async def scene(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.post("/api/commands", json={"verb": "pause", "rig": "bench"}) for _ in range(2)]

    first, second = with_client(conductor, scene)
    assert (first.status_code, first.json()["accepted"]) == (200, True)
    assert (second.status_code, second.json()["detail"]) == (409, "it is paused already")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"verb": "jump", "rig": "bench"}, "body"),
        ({"rig": "bench"}, "body"),
        ({"verb": "pause"}, "body.pause.rig"),
        ({"verb": "pause", "rig": "bench", "now": True}, "body.pause.now"),
        ({"verb": "pause", "rig": "../bench"}, "body.pause.rig"),
        ({"verb": "hold", "rig": "bench", "keep_temperature": "yes"}, "body.hold.keep_temperature"),
        ({"verb": "move", "rig": "bench", "job": "x", "place": 0}, "body.move.place"),
        (["pause", "bench"], "body"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_where_it_does_not(conductor: Pretend, body: JSON, where: str) -> None:
    answer = post(conductor, "/api/commands", body)
    assert answer.status_code == 422
    assert answer.json()["error"]["problems"][0]["path"] == where
    assert conductor.heard == []


def test_a_command_that_cannot_be_journalled_is_not_done(conductor: Pretend) -> None:
    conductor.full_disk = True
    answer = post(conductor, "/api/commands", {"verb": "pause", "rig": "bench"})
    assert (answer.status_code, answer.json()["error"]["error"]) == (503, "NotJournalled")
    assert not conductor.paused


def test_runs_are_listed_and_told(conductor: Pretend) -> None:
    assert [run["run"] for run in get(conductor, "/api/runs").json()["runs"]] == [RUN]
    detail = get(conductor, f"/api/runs/{RUN}").json()
    assert (len(detail["experiments"]), detail["header"]["seed"]) == (12, 7)


def test_an_unknown_run_and_one_that_has_not_begun_are_different(conductor: Pretend) -> None:
    async def scene(client: httpx.AsyncClient) -> list[int]:
        await client.post("/api/commands", json={"verb": "submit", "rig": "bench", "campaign": CAMPAIGN_TEXT})
        paths = ["/api/runs/none/events", "/api/runs/job-1", "/api/runs/job-1/events", "/api/runs/job-1/report"]
        return [(await client.get(path)).status_code for path in paths]

    assert with_client(conductor, scene) == [404, 409, 409, 409]


def test_events_come_in_pages_that_join_without_gap_or_repeat(conductor: Pretend) -> None:
    async def scene(client: httpx.AsyncClient) -> list[int]:
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            page = (await client.get(f"/api/runs/{RUN}/events", params={"after": after, "limit": 17})).json()
            seen += [event["seq"] for event in page["events"]]
            after = page["next_after"]
        assert page["last_seq"] == seen[-1]
        return seen

    seen = with_client(conductor, scene)
    assert seen == list(range(1, len(seen) + 1))


def test_events_can_be_asked_for_by_kind_and_with_calls(conductor: Pretend) -> None:
    told = get(conductor, f"/api/runs/{RUN}/events?kind=told&limit=2").json()
    assert [event["kind"] for event in told["events"]] == ["told", "told"]
    assert told["events"][0]["calls"] is None
    settled = get(conductor, f"/api/runs/{RUN}/events?kind=settled&limit=1&calls=true").json()
    assert settled["events"][0]["calls"][0]["d"] == "heater"


def test_spectra_come_as_bytes_and_as_numbers(conductor: Pretend) -> None:
    event = get(conductor, f"/api/runs/{RUN}/events?kind=measured&limit=1").json()["events"][0]
    address = event["data"]["spectra"][0]
    blob = get(conductor, f"/api/runs/{RUN}/blobs/{address}")
    assert (blob.headers["content-type"], len(blob.content)) == ("application/octet-stream", 4 * 700)
    spectrum = get(conductor, f"/api/runs/{RUN}/experiments/{event['data']['n']}/spectrum").json()
    assert [len(spectrum["wavelength_nm"]), len(spectrum["dark"])] == [700, 700]
    assert [len(counts) for counts in spectrum["counts"]] == [700, 700]
    assert get(conductor, f"/api/runs/{RUN}/blobs/{'0' * 64}").status_code == 404
    assert get(conductor, f"/api/runs/{RUN}/experiments/99/spectrum").status_code == 404


def test_the_report_is_a_page_that_may_run_nothing_of_this_origin(conductor: Pretend) -> None:
    answer = get(conductor, f"/api/runs/{RUN}/report")
    assert answer.text.startswith("<!doctype html>")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "connect-src" not in answer.headers["content-security-policy"]  # default-src 'none' holds for it


def test_what_a_run_teaches_is_worked_out_elsewhere_and_once_for_each_experiment(tmp_path: Path) -> None:
    path = tmp_path / "short.sqlite"
    write_run(path, experiments=4, end=False, header=header_of(small(), Overrides(), hardware=False))
    explanations = Explanations()

    async def scene() -> tuple[Data, bool]:
        first = await explanations.of(path)
        return first, await explanations.of(path) is first

    first, same = asyncio.run(scene())
    assert "3 different recipes gave a reading, and 4 inputs ask for at least 5" in first["cannot"]
    assert same


def test_a_campaign_is_validated_against_a_rig_of_the_daemon_or_one_that_is_sent(conductor: Pretend) -> None:
    by_name = post(conductor, "/api/validate", {"campaign": CAMPAIGN_TEXT, "rig": "bench"}).json()
    by_text = post(conductor, "/api/validate", {"campaign": CAMPAIGN_TEXT, "rig_text": RIG_TEXT}).json()
    assert by_name["ok"] and by_name["figures"] == by_text["figures"]
    assert post(conductor, "/api/validate", {"rig_text": RIG_TEXT}).json()["kind"] == "rig"


def test_what_is_wrong_with_a_text_is_told_by_line_and_column(conductor: Pretend) -> None:
    broken = CAMPAIGN_TEXT.replace("kind: campaign", "kind: campaing")
    answer = post(conductor, "/api/validate", {"campaign": broken, "rig": "bench"})
    assert answer.status_code == 422
    problem = answer.json()["error"]["problems"][0]
    assert (problem["path"], problem["offending"], problem["line"] > 0) == ("kind", "campaing", True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"campaign": "x"}, "WhichRig"),
        ({"campaign": "x", "rig": "bench", "rig_text": "y"}, "WhichRig"),
        ({"campaign": "x", "rig": "bank"}, "UnknownRig"),
        ({"rig": "bench"}, "NothingSent"),
        ({"campaign": "a: &a [*a, *a]", "rig": "bench"}, "ConfigError"),
        ({"campaign": "[" * 100_000, "rig": "bench"}, "ConfigError"),
        ({"campaign": "\x00", "rig": "bench"}, "ConfigError"),
    ],
)
def test_texts_that_cannot_be_checked_are_refused(conductor: Pretend, body: JSON, kind: str) -> None:
    answer = post(conductor, "/api/validate", body)
    assert (answer.status_code, answer.json()["error"]["error"]) == (422, kind)


def test_explain_speaks_to_people_and_to_programs(conductor: Pretend) -> None:
    told = post(conductor, "/api/explain", {"campaign": CAMPAIGN_TEXT, "rig": "bench"}).json()
    assert told["target_ev"] == 2.25
    assert "Looks for a peak at 2.25 eV" in told["text"]


def test_archives_that_come_with_a_text_are_looked_at_and_those_that_do_not_are_named(conductor: Pretend) -> None:
    more = "\narchives:\n  before:\n    kind: runs\n    files: [elsewhere.sqlite]\n"
    text = {"campaign": CAMPAIGN_TEXT + more, "rig": "bench"}
    rows = [
        [0.1, 1.0, 60.0, 100.0, 2.3, 0.09, 0.5, 0.001, False],
        [0.9, 9.0, 30.0, 110.0, 2.0, 0.09, None, None, False],
    ]

    def notes(answer: httpx.Response) -> list[str]:
        return [note["message"] for note in answer.json()["warnings"] if note["path"] == "archives.before"]

    without = post(conductor, "/api/validate", text)
    assert without.json()["ok"]
    assert notes(without) == ["its experiments did not come along: they were not looked at"]
    along = {**text, "archives": [{"name": "before", "rows": rows}]}
    (left_out,) = notes(post(conductor, "/api/validate", along))
    assert left_out.startswith("left out of its 2 experiments: 1 outside")
    assert post(conductor, "/api/explain", along).json()["archives"] == {"before": 1}
    refused = post(conductor, "/api/explain", {**text, "archives": [{"name": "after", "rows": rows}]})
    assert (refused.status_code, refused.json()["error"]["error"]) == (422, "ConfigError")
    assert (
        post(conductor, "/api/validate", {**text, "archives": [{"name": "before", "rows": [[1, 2]]}]}).status_code
        == 422
    )


def test_a_query_with_a_typing_error_is_refused(conductor: Pretend) -> None:
    answer = get(conductor, f"/api/runs/{RUN}/events?kinds=told")
    assert answer.status_code == 422
    assert "'kinds'" in answer.json()["error"]["message"]


def test_a_read_only_token_reads_and_validates_and_commands_nothing(conductor: Pretend) -> None:
    async def scene(client: httpx.AsyncClient) -> list[int]:
        client.headers["authorization"] = f"Bearer {READ}"
        texts = {"campaign": CAMPAIGN_TEXT, "rig": "bench"}
        answers = [
            await client.get("/api/state"),
            await client.post("/api/explain", json=texts),
            await client.post("/api/commands", json={"verb": "pause", "rig": "bench"}),
        ]
        return [answer.status_code for answer in answers]

    assert with_client(conductor, scene) == [200, 200, 403]
    assert conductor.heard == []


def test_an_altered_record_is_named_and_not_served(conductor: Pretend, tmp_path: Path) -> None:
    path = conductor.journal_path(RUN)
    content = path.read_bytes()
    assert content.count(b'"experiments":25') == 1
    path.write_bytes(content.replace(b'"experiments":25', b'"experiments":52'))
    with pytest.raises(JournalDamaged, match="record 1"):
        read_page(path, after=0, limit=10)
    answer = get(conductor, f"/api/runs/{RUN}/events")
    assert (answer.status_code, answer.json()["error"]["error"]) == (409, "JournalDamaged")


def test_a_run_is_replayed_in_a_process_of_its_own(conductor: Pretend, tmp_path: Path) -> None:
    said = {"experiments: 25": "experiments: 2", "initial: 8": "initial: 2", "strategy: ensemble": "strategy: sobol"}
    rehearsed = rehearse(small(2, **said), tmp_path / "again-0001.sqlite")
    conductor.keep("again-0001", tmp_path / "again-0001.sqlite")
    told = post(conductor, "/api/runs/again-0001/replay", {})
    assert (told.status_code, told.json()["same"], told.json()["events"]) == (200, True, len(rehearsed.events))


def test_what_cannot_be_replayed_is_refused_with_the_reason(conductor: Pretend) -> None:
    answer = post(conductor, f"/api/runs/{RUN}/replay", {})
    assert (answer.status_code, answer.json()["error"]["error"]) == (409, "NotReplayed")


def test_what_takes_long_is_done_few_at_once_and_too_much_of_it_is_refused(conductor: Pretend) -> None:
    async def scene() -> tuple[int, int]:
        api = Api(conductor, {})
        hold = asyncio.Event()
        at_once = most = 0

        async def one() -> None:
            nonlocal at_once, most
            async with api.turn():
                at_once += 1
                most = max(most, at_once)
                await hold.wait()
                at_once -= 1

        tasks = [asyncio.ensure_future(one()) for _ in range(HEAVY_WAITING + 3)]
        await asyncio.sleep(0)
        hold.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return most, sum(isinstance(result, ApiError) for result in results)

    assert asyncio.run(scene()) == (HEAVY_AT_ONCE, 3)


def test_the_command_line_does_not_load_the_server() -> None:
    program = (
        "import sys, orchestrator.cli, orchestrator.daemon.http, orchestrator.daemon.feed;"
        "assert not {'fastapi', 'starlette', 'uvicorn'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
