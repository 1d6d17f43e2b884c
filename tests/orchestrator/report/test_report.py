"""The report: one file, whole in itself, that says what the journal says and nothing else."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Journal
from orchestrator.report import render_report, write_report
from orchestrator.report.colour import emission_colour
from orchestrator.report.gather import corners, thinned
from orchestrator.report.page import duration
from orchestrator.report.svg import Scale, linear_ticks, log_ticks, number
from tests.orchestrator.journals import HEADER, Run, write_run

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps the words and the attributes that could reach outside."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.outside: list[str] = []
        self.feed(html)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.outside += [str(value) for name, value in attrs if name in ("src", "href", "action", "srcset")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "run.journal"
    write_run(path)
    return path


@pytest.fixture(scope="module")
def html(finished: Path) -> str:
    return render_report(finished)


def drawings(html: str) -> list[ElementTree.Element]:
    """Every figure, parsed as XML."""
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def marks(drawing: ElementTree.Element, shape: str) -> list[str]:
    return [g.get("data-tip", "") for g in drawing.iter("g") if g.get("class") == f"mark {shape}"]


def test_the_headline_says_what_was_reached_and_how(html: str) -> None:
    text = Outline(html).text
    for words in (
        "Target reached and reproduced",
        "2.2512 ± 0.0005 eV",
        "550.7 nm · +1.2 meV from the target · mean of 3 experiments",
        "Relative yield 71 %",
        "Experiments 12 of 25",
        "118 °C",
        "It was reproduced twice.",
    ):
        assert words in text


def test_nothing_outside_the_file_is_asked_for(html: str) -> None:
    assert Outline(html).outside == []
    assert not re.search(r"https?://|@import|url\(|fetch\(|import\(", html)
    assert len(html.encode()) < 1_000_000


def test_words_from_outside_cannot_become_markup(html: str) -> None:
    assert "<b>a campaign</b>" not in html
    assert "&lt;b&gt;a campaign&lt;/b&gt; &amp; its comment" in html
    assert "/data/runs/&lt;green&gt;.journal" in html


def test_a_hostile_name_stays_a_name(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    entry = {"name": evil, "unit": evil, "low": 0.0, "high": 1.0, "scale": "linear"}
    header = {**HEADER, "campaign_name": evil, "inputs": [entry], "stocks": {evil: {"stock": evil, "syringe_ul": 1.0}}}
    write_run(tmp_path / "run.journal", experiments=2, end=False, header=header)
    text = render_report(tmp_path / "run.journal")
    assert "<script>alert" not in text
    assert all(drawing.tag == "svg" for drawing in drawings(text))


def test_every_experiment_is_in_the_progress_with_its_kind_of_mark(html: str) -> None:
    progress = drawings(html)[0]
    assert len(marks(progress, "circle")) == 9
    assert [tip.split(":")[0] for tip in marks(progress, "diamond")] == ["11 (repeat of 10)", "12 (repeat of 10)"]
    assert marks(progress, "cross") == ["3: dark"]


def test_every_spectrum_is_in_the_waterfall_and_the_dark_one_is_flat(html: str) -> None:
    waterfall = drawings(html)[1]
    rows = [g for g in waterfall.iter("g") if g.get("class") == "row"]
    assert len(rows) == 12
    heights = []
    for row in rows:
        line = next(p for p in row.iter("path") if "fill" not in str(p.get("class")))
        values = [float(pair.split(",")[1]) for pair in str(line.get("d"))[1:].split()]
        heights.append(max(values) - min(values))
    assert heights[2] < 3.0
    assert min(heights[:2] + heights[3:]) > 50.0


def test_the_inputs_the_reactor_and_the_calibration_have_their_figures(html: str) -> None:
    titles = [str(drawing.get("aria-label")) for drawing in drawings(html)]
    assert titles[2:6] == [f"{entry['name']} over experiment number" for entry in HEADER["inputs"]]
    assert titles[6:9] == [
        "Predicted and measured peak",
        "Predicted and measured width",
        "Predicted and measured yield",
    ]
    assert titles[9:] == ["heater / °C over time", "pressure / kPa over time"]
    assert re.search(r"Inside the interval: peak \d of 4, width \d of 4, yield \d of 4", Outline(html).text)


def test_reagents_are_named_by_stock_with_what_is_left_of_the_syringe(html: str) -> None:
    assert "cs oleate cs 4.32 mL of 10 mL" in Outline(html).text


def test_the_page_names_the_head_of_the_chain_and_the_configuration(finished: Path, html: str) -> None:
    with Journal.open(finished, readonly=True) as journal:
        assert journal.head in html
    text = Outline(html).text
    assert "python 3.11.9, torch 2.13.0" in text
    assert "name: green at 2.25 eV rig: bench.yaml" in text


def test_one_journal_gives_one_page(finished: Path, html: str, tmp_path: Path) -> None:
    path = write_report(finished, tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == html
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_report_leaves_nothing_beside_the_journal(finished: Path) -> None:
    render_report(finished)
    assert {entry.name for entry in finished.parent.iterdir()} == {"run.journal", "run.journal.lock"}


@pytest.mark.parametrize("experiments", [0, 1, 3, 8])
def test_an_unfinished_run_has_a_report_too(tmp_path: Path, experiments: int) -> None:
    write_run(tmp_path / "run.journal", experiments=experiments, end=False)
    html = render_report(tmp_path / "run.journal")
    text = Outline(html).text
    assert "Not finished" in text
    assert ("no emission was measured yet" in text) == (experiments == 0)
    drawings(html)


def test_a_journal_without_events_has_a_report_too(tmp_path: Path) -> None:
    async def main() -> None:
        Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())).close()

    run_virtual(main())
    assert "Not finished" in Outline(render_report(tmp_path / "run.journal")).text


def test_a_run_that_only_failed_and_tripped_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            run = Run(journal)
            await run.begin()
            await run.experiment(1, None)
            refused = {"n": 2, "kind": "explore", "of": None, "recipe": {}, "reason": "initial design"}
            await journal.append("proposed", refused)
            await journal.append("refused", {"n": 2, "reason": "the pump cannot go so slowly"})
            trip = {"interlock": "over-pressure", "device": "pressure", "value": 412.0, "limit": 400.0, "unit": "kPa"}
            await journal.append("trip", trip)
            await journal.append("stopping", {"stop_reason": "fault", "detail": "over-pressure on pressure"})

    run_virtual(main())
    text = Outline(render_report(tmp_path / "run.journal")).text
    assert "Ended by a fault" in text
    assert "over-pressure on pressure: 412.0 kPa, limit 400.0 kPa" in text
    assert "the pump cannot go so slowly" in text
    assert "no reading was accepted yet" in text


def test_a_run_that_a_daemon_has_suspended_is_said_to_be_so_and_not_to_have_ended(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            await Run(journal).begin()
            await journal.append("stopping", {"stop_reason": "suspended", "detail": "suspended by the daemon"})
            await journal.append("safe_done", {"ok": True, "reagent_ul": {}})

    run_virtual(main())
    text = Outline(render_report(tmp_path / "run.journal")).text
    assert "Suspended until it is resumed" in text
    assert "The journal ends before the run does" in text


def test_a_run_that_ended_without_an_accepted_reading_is_not_said_to_have_measured_nothing_yet(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            run = Run(journal)
            await run.begin()
            await run.experiment(1, None)
            ended = {"stop_reason": "budget_experiments", "detail": "", "reactor_s": 900.0, "reagent_ul": {}}
            await journal.append("ended", ended)

    run_virtual(main())
    text = Outline(render_report(tmp_path / "run.journal")).text
    assert "no reading was accepted" in text
    assert "yet" not in text


def test_the_page_says_what_was_seen_of_the_lamp_and_which_experiment_was_disturbed(tmp_path: Path) -> None:
    async def main() -> None:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            run = Run(journal)
            await run.begin()
            for n in (1, 2):
                await run.experiment(n, 2.3)
            steady = {"outcome": "steady", "shift": 0.012, "shift_in_all": 0.012, "covers": [1, 2]}
            await journal.append("reference_checked", steady)
            proposed = {"n": 3, "kind": "explore", "of": None, "recipe": {}, "reason": "initial design"}
            await journal.append("proposed", proposed)
            dosing = {"n": 3, "flows_ul_min": {}, "temperature_c": 90.0, "total_flow_ul_min": 150.0}
            await journal.append("dosing", {**dosing, "attempt": 1, "residence_time_s": 60.0, "expected_ul": {}})
            volumes = {"reagent_ul": {}, "counted_ul": {}, "reactor_s": 4000.0}
            await journal.append("disturbed", {"n": 3, "by": ["cs: out of reach for 12 s"], **volumes})
            await run.experiment(4, 2.3)
            shifted = {"outcome": "shifted", "shift": -0.25, "shift_in_all": -0.24, "covers": [1, 2, 4]}
            await journal.append("reference_checked", shifted)

    run_virtual(main())
    text = Outline(render_report(tmp_path / "run.journal")).text
    assert "28 min +1.2 1 to 2 steady" in text
    assert "−25.0 1 to 2, 4 shifted: the blank was read again" in text
    assert "disturbed (cs: out of reach for 12 s), to be run again" in text


def test_a_file_that_is_no_journal_has_no_report(tmp_path: Path) -> None:
    (tmp_path / "run.journal").write_text("hello")
    with pytest.raises(JournalError):
        write_report(tmp_path / "run.journal", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_importing_the_report_loads_nothing_heavy() -> None:
    program = "import sys, orchestrator.report; print([m for m in ('numpy', 'jinja2', 'plotly') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("energy_ev", "strongest"), [(1.9, 0), (2.34, 1), (2.7, 2)])
def test_a_line_is_shown_in_the_colour_it_has(energy_ev: float, strongest: int) -> None:
    colour = emission_colour(energy_ev)
    channels = [int(colour[1 + 2 * k : 3 + 2 * k], 16) for k in range(3)]
    assert channels.index(max(channels)) == strongest


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (118.0, "118"), (0.16583, "0.1658"), (-2.5, "−2.5"), (1234.56, "1235"), (2e-7, "2.000e−07")],
)
def test_numbers_are_written_for_people(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(42.0, "42 s"), (3590.0, "1 h 00 min"), (600.0, "10 min"), (200_000.0, "2 d 8 h")]
)
def test_time_spans_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_inside_their_axis_and_are_few(low: float, width: float) -> None:
    ticks = linear_ticks(low, low + width)
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 * width <= tick <= low + width * 1.000001 for tick in ticks)


def test_a_logarithmic_axis_is_even_in_decades() -> None:
    scale = Scale(0.1, 1000.0, 0.0, 400.0, log=True)
    assert [scale(tick) for tick in log_ticks(0.1, 1000.0)] == pytest.approx([0.0, 100.0, 200.0, 300.0, 400.0])


def test_thinning_keeps_every_excursion() -> None:
    series = [(float(n), 500.0 if n == 7777 else 20.0) for n in range(20_000)]
    kept = thinned(series, 100)
    assert len(kept) <= 202
    assert max(value for _, value in kept) == 500.0
    assert corners([(0.0, 1.0), (1.0, 1.0), (2.0, 5.0), (3.0, 5.0)]) == [(0.0, 1.0), (2.0, 5.0), (3.0, 5.0)]
