"""A spectrum is compared with a target by how far its light would have to be moved, and a campaign can aim at that."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.campaign import goal
from orchestrator.campaign.header import Overrides, header_of, loaded_from
from orchestrator.campaign.planning import request
from orchestrator.campaign.stopping import decide_stop, wanted_replicate
from orchestrator.config import LoadedCampaign, load_campaign, parse_campaign
from orchestrator.config.target_file import carried
from orchestrator.errors import ConfigError, UsageRefused
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.history.summary import summary
from orchestrator.spectra.analysis import Frames, OpticalLayout
from orchestrator.spectra.shape import (
    NoTargetError,
    canonical,
    distance_ev,
    light_of,
    outside,
    overlap,
    read_shape,
    target_of,
)
from orchestrator.units import HC_EV_NM
from planners import Shape
from tests.orchestrator.campaign.test_campaign import cut_after
from tests.orchestrator.campaign.test_stopping import told
from tests.orchestrator.rehearsal import CONFIGS, rehearse

EXAMPLE = CONFIGS / "campaigns" / "shape-2.30.yaml"
RIG = CONFIGS / "rigs" / "perovskite-bench.yaml"
PIXELS_NM = np.linspace(350.0, 1000.0, 2048)
LAYOUT = OpticalLayout()


def line(
    peak_ev: float = 2.3, sd_ev: float = 0.03, wavelengths_nm: NDArray[np.float64] = PIXELS_NM
) -> NDArray[np.float64]:
    """Photons of a normal line in each pixel."""
    energy = HC_EV_NM / wavelengths_nm
    return np.asarray(np.exp(-0.5 * ((energy - peak_ev) / sd_ev) ** 2) * (1.0 / wavelengths_nm) ** 2 * 3e8)


def columns(wavelengths_nm: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    return "".join(f"{nm:.3f},{value:.6g}\n" for nm, value in zip(wavelengths_nm, values, strict=True))


COARSE_NM = np.arange(470.0, 640.0, 1.0)
TEXT = columns(COARSE_NM, line(wavelengths_nm=COARSE_NM))


def frames(photons: NDArray[np.float64], noise: float = 0.0, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    samples = 1000.0 + photons + noise * rng.standard_normal((3, photons.size))
    return Frames(PIXELS_NM, samples, np.full((1, photons.size), 1000.0), 0.1, None)


@pytest.mark.parametrize(("shift_ev", "widening"), [(0.0, 1.0), (0.02, 1.0), (-0.3, 1.0), (0.0, 1.5)])
def test_the_distance_of_normal_lines_is_that_of_the_textbook(shift_ev: float, widening: float) -> None:
    one, other = light_of(PIXELS_NM, line()), light_of(PIXELS_NM, line(2.3 + shift_ev, 0.03 * widening))
    assert one is not None
    assert other is not None
    # A shift moves all light by itself; a widening moves it by its mean deviation (Vallender 1974).
    wanted = abs(shift_ev) if shift_ev else 0.03 * (widening - 1.0) * math.sqrt(2.0 / math.pi)
    assert distance_ev(one, other) == pytest.approx(wanted, abs=2e-5)
    assert distance_ev(one, other) == distance_ev(other, one)


def test_light_is_shared_wholly_with_itself_and_not_at_all_with_a_far_line() -> None:
    near, same, far = (light_of(PIXELS_NM, line(peak)) for peak in (2.3, 2.3, 2.8))
    assert near is not None
    assert same is not None
    assert far is not None
    assert overlap(near, same) == pytest.approx(1.0)
    assert overlap(near, far) == pytest.approx(0.0, abs=1e-6)


def test_the_sampling_of_the_target_does_not_matter() -> None:
    fine_nm = np.arange(470.0, 640.0, 0.2)
    coarse, fine = target_of(TEXT), target_of(columns(fine_nm, line(wavelengths_nm=fine_nm)))
    assert distance_ev(coarse.light, fine.light) < 2e-4
    assert coarse.peak_ev == pytest.approx(2.3, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_noise_of_the_detector_hardly_displaces_the_light(seed: int) -> None:
    """The line is 50 times as high as the noise of a pixel; the detector sees three times its width of dark pixels."""
    photons = line()
    read = read_shape(frames(photons, noise=float(photons.max()) / 50.0, seed=seed), LAYOUT, target_of(TEXT).light)
    assert read is not None
    assert read.distance_ev < 0.0015
    assert read.overlap > 0.95
    assert 0.0 < read.distance_sd_ev < 0.001


def test_a_measured_shift_is_read_as_one() -> None:
    read = read_shape(frames(line(2.31)), LAYOUT, target_of(TEXT).light)
    assert read is not None
    assert read.distance_ev == pytest.approx(0.010, abs=2e-4)
    assert read.light["light_median_ev"] == pytest.approx(2.31, abs=5e-4)


def test_what_lies_outside_of_a_window_is_known() -> None:
    target = target_of(TEXT)
    assert outside(target, 418.0, 800.0) < 1e-6
    assert outside(target, HC_EV_NM / 2.3, 800.0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wavelength,counts\n", "no spectrum"),
        (columns(COARSE_NM, 0.0 * COARSE_NM), "no light"),
        (columns(COARSE_NM, line(wavelengths_nm=COARSE_NM) - 100.0), "negative light at 470 nm"),
        (columns(COARSE_NM, line(wavelengths_nm=COARSE_NM) + 100.0), "at its end at 470 nm"),
        (columns(COARSE_NM[:70], line(wavelengths_nm=COARSE_NM)[:70]), "at its end at 539 nm"),
        ("500,1\n" * 20, "no spectrum"),
    ],
)
def test_a_text_that_is_no_target_says_why(text: str, words: str) -> None:
    with pytest.raises(NoTargetError, match=words):
        target_of(text)


def test_a_file_of_another_dialect_becomes_the_same_text() -> None:
    german = "Wellenlänge;Intensität\n" + TEXT.replace(",", ";").replace(".", ",")
    assert canonical(german.encode()) == canonical(TEXT.encode())


def campaign(folder: Path, **edits: str) -> LoadedCampaign:
    """The example in a folder of its own, with its target beside it."""
    text = EXAMPLE.read_text()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "campaign.yaml"
    path.write_text(text)
    (folder / "green-target.csv").write_bytes((EXAMPLE.parent / "green-target.csv").read_bytes())
    return load_campaign(path, RIG)


def test_the_planner_is_asked_about_the_light_of_the_target(tmp_path: Path) -> None:
    loaded = campaign(tmp_path)
    recipe = dict.fromkeys(loaded.config.inputs, 100.0)
    light = dict(
        zip(Shape((2.3, -0.05, -0.02, 0.02, 0.05), 0.005).outputs, (2.3, -0.05, -0.02, 0.02, 0.05), strict=True)
    )
    shape = {"light": light, "distance_ev": 0.004, "distance_sd_ev": 0.0002, "overlap": 0.9}
    seen = replace(told(1, 50.0), recipe=recipe, shape=shape)
    asked = request(loaded.config, loaded.rig, RunState(experiments=(seen, replace(told(2, None), recipe=recipe))))
    assert isinstance(asked.objective, Shape)
    assert asked.observations[0].values == tuple(light.values())
    assert asked.observations[1].failed


def test_reached_is_a_displacement_within_the_tolerance_even_with_its_error(tmp_path: Path) -> None:
    config = campaign(tmp_path).config

    def seen(n: int, distance_mev: float, of: int | None = None) -> RunState:
        shape = {"light": {}, "distance_ev": distance_mev / 1e3, "distance_sd_ev": 0.0001, "overlap": 0.9}
        return RunState(experiments=(replace(told(n, 50.0, of=of), shape=shape),))

    assert wanted_replicate(config, seen(1, 4.4)) is not None
    assert wanted_replicate(config, seen(1, 4.6)) is None  # told() states an error of the peak of 0.5 meV
    both = RunState(experiments=(*seen(1, 3.0).experiments, *seen(2, 2.0, of=1).experiments))
    stop = decide_stop(config, both, 0.0)
    assert stop is not None
    assert stop.reason == "target_reproduced"
    aimed = replace(both, header={"target_ev": 2.3, "tolerance_ev": 0.005})
    assert aimed.best is not None
    assert aimed.best.n == 2
    assert goal.best_loss(config, both.experiments) == pytest.approx(0.002)


def test_the_journal_keeps_the_target_whatever_becomes_of_its_file(tmp_path: Path) -> None:
    loaded = campaign(tmp_path)
    header = header_of(loaded, Overrides(), hardware=False)
    (tmp_path / "green-target.csv").write_text("gone")
    again = loaded_from(header)
    assert again.config == loaded.config
    assert header["target_ev"] == pytest.approx(2.30, abs=0.005)
    assert "green-target.csv" in header["wanted"]


def test_an_interrupted_run_goes_on_with_the_target_that_it_began_with(tmp_path: Path) -> None:
    sobol = {"budget:\n  experiments: 30": "planner:\n  strategy: sobol\n  initial: 3\n\nbudget:\n  experiments: 3"}
    loaded = campaign(tmp_path, **sobol)
    path, cut = tmp_path / "run.sqlite", tmp_path / "cut.sqlite"
    whole = rehearse(loaded, path)
    cut_after(cut, whole, "told", 2, path)
    (tmp_path / "green-target.csv").write_text(TEXT)
    assert rehearse(loaded_from(whole.events[0].data), cut, resume="exactly").dump == whole.dump
    analysed = [event.data for event in whole.events if event.kind == "analysed" and event.data["accepted"]]
    assert all(0.0 <= data["shape"]["overlap"] <= 1.0 for data in analysed)
    facts = summary(fold(whole.events))
    assert facts["displacement_mev"] > 0.0


def test_a_campaign_by_its_text_alone_carries_the_spectrum_in_it() -> None:
    block = "".join(f"      {row}\n" for row in TEXT.splitlines())
    text = EXAMPLE.read_text().replace("    file: green-target.csv", f"    text: |\n{block}    # ")
    loaded = parse_campaign(text, "c.yaml", RIG.read_text(), "r.yaml")
    assert goal.objective(loaded.config).target == pytest.approx(2.3, abs=2e-3)
    assert "target_spectrum" not in header_of(loaded, Overrides(), hardware=False)


def test_a_peak_on_the_command_line_does_not_take_the_place_of_a_spectrum(tmp_path: Path) -> None:
    with pytest.raises(UsageRefused, match="has a target spectrum"):
        Overrides(target="2.2 eV").applied(campaign(tmp_path))


FILE = "    file: green-target.csv"


@pytest.mark.parametrize(
    ("edits", "path", "words"),
    [
        ({FILE: "    file: nowhere.csv"}, "objective.shape.file", "no such spectrum file"),
        ({FILE: "    file: campaign.yaml"}, "objective.shape.file", "no spectrum"),
        ({FILE: "    #"}, "objective.shape", "file or text"),
        ({FILE: f"{FILE}\n    text: '1'"}, "objective.shape", "one of the two"),
        ({FILE: "    text: 470 nm"}, "objective.shape.text", "no spectrum"),
        ({"  shape:\n": "  peak: {target: 2.3 eV, tolerance: 5 meV}\n  shape:\n"}, "objective.peak", "leave this out"),
        ({"  shape:\n": "  fwhm: {weight: 1}\n  shape:\n"}, "objective.fwhm", "leave this out"),
        ({"objective:\n  shape:\n": "objective: {}\nx:\n  shape:\n"}, "x", "unknown"),
        ({"stop:\n": "stop:\n  plateau: {experiments: 3}\n"}, "stop.plateau", "Add improvement"),
        ({"stop:\n": "stop:\n  out_of_reach: 3\n"}, "stop.out_of_reach", "not told"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused_where_it_stands(
    tmp_path: Path, edits: dict[str, str], path: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        campaign(tmp_path, **edits)
    found = {problem.path: problem.summary() for problem in caught.value.problems}
    assert words in found[path], found


def test_a_misspelt_spectrum_file_is_met_with_the_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        campaign(tmp_path, **{FILE: "    file: gren-target.csv"})
    (problem,) = caught.value.problems
    assert problem.suggestion == "green-target.csv"
    with pytest.raises(ConfigError) as caught:
        campaign(tmp_path, **{FILE: "    file: spectra/green-target.csv"})
    assert caught.value.problems[0].suggestion == ""


def test_an_objective_wants_a_peak_or_a_shape() -> None:
    text = EXAMPLE.read_text()
    start, end = text.index("objective:"), text.index("budget:")
    with pytest.raises(ConfigError, match="a peak, or the shape of a spectrum"):
        parse_campaign(f"{text[:start]}objective: {{}}\n{text[end:]}", "c.yaml", RIG.read_text(), "r.yaml")


def test_light_that_the_detector_does_not_see_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(EXAMPLE.read_text())
    red = np.arange(780.0, 980.0, 1.0)
    (tmp_path / "green-target.csv").write_text(columns(red, line(1.45, wavelengths_nm=red)))
    with pytest.raises(ConfigError, match="of its light lies outside the detector's emission window"):
        load_campaign(path, RIG)


def test_only_a_file_can_name_a_file() -> None:
    with pytest.raises(ConfigError, match="here as text"):
        parse_campaign(EXAMPLE.read_text(), "c.yaml", RIG.read_text(), "r.yaml")


@pytest.mark.parametrize("spelling", ["green-target.csv", '"green-target.csv"', "'green-target.csv' "])
def test_what_is_submitted_carries_the_spectrum_of_its_file(tmp_path: Path, spelling: str) -> None:
    named = campaign(tmp_path, **{FILE: f"    file: {spelling}"})
    text = carried(tmp_path / "campaign.yaml")
    sent = parse_campaign(text, "c.yaml", RIG.read_text(), "r.yaml")
    assert sent.config.objective.shape is not None
    assert sent.config.objective.shape.file is None
    assert goal.objective(sent.config) == goal.objective(named.config)
    assert text.count("\n") == named.campaign_text.count("\n")


def test_a_campaign_without_a_file_is_submitted_as_it_stands_and_a_missing_file_is_named(tmp_path: Path) -> None:
    quickstart = CONFIGS / "campaigns" / "quickstart.yaml"
    assert carried(quickstart) == quickstart.read_text()
    lonely = tmp_path / "campaign.yaml"
    lonely.write_text(EXAMPLE.read_text())
    with pytest.raises(ConfigError, match="no such spectrum file"):
        carried(lonely)
