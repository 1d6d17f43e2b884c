"""The way to the target is drawn for each target by itself, and by what the campaign goes by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from orchestrator.history.run_state import Experiment, RunState
from orchestrator.report.figures import progress
from tests.orchestrator.campaign.test_stopping import TARGET, told

HEADER = {"target_ev": TARGET, "tolerance_ev": 0.005}
SEVERAL = {"targets": ({"target_ev": TARGET, "tolerance_ev": 0.06}, {"target_ev": TARGET + 0.1, "tolerance_ev": 0.005})}


def drawn(header: Mapping[str, object], *experiments: Experiment) -> ElementTree.Element:
    figure = progress(RunState(header=header, experiments=experiments))
    assert figure is not None
    return ElementTree.fromstring(figure)


def bands(drawing: ElementTree.Element) -> list[tuple[float, float, float]]:
    """Left end, right end and top of every band within a tolerance, in pixels."""
    found = [each for each in drawing.iter("rect") if each.get("class") == "goal"]
    return [(at(each, "x"), at(each, "x") + at(each, "width"), at(each, "y")) for each in found]


def best(drawing: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The corners of every line of the best so far, in pixels."""
    lines = [each.get("d", "") for each in drawing.iter("path") if each.get("class") == "best"]
    return [[(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", line)] for line in lines]


def at(mark: ElementTree.Element, name: str) -> float:
    return float(mark.get(name, "nan"))


def test_each_of_several_targets_has_a_band_as_wide_as_its_experiments_and_its_own_tolerance() -> None:
    drawing = drawn(SEVERAL, told(1, 200.0), told(2, 50.0), replace(told(3, 104.0), target=2))
    (left, middle, wide), (onward, right, narrow) = bands(drawing)
    assert middle == pytest.approx(onward, abs=0.2)
    assert middle - left == pytest.approx(2 * (right - onward), rel=0.15)
    assert wide < narrow  # higher up: the axis grows upwards
    words = [each.text for each in drawing.iter("text")]
    assert "2.25 eV, within 60 meV" in words
    assert "2.35 eV, within 5 meV" in words


def test_a_later_target_begins_with_the_best_that_was_read_before_it() -> None:
    first, second = best(drawn(SEVERAL, told(1, 92.0), told(2, 50.0), replace(told(3, 97.0), target=2)))
    assert [y for _, y in first] == sorted(y for _, y in first)
    assert second[0][0] == pytest.approx(first[-1][0], abs=0.2)
    # 8 meV off before its own first experiment and 3 meV after it.
    assert second[0][1] > first[-1][1]
    assert second[-1][1] > second[0][1]
    only = best(drawn(SEVERAL, told(1, 92.0), told(2, 50.0), replace(told(3, None), target=2)))
    assert len(only) == 2


def test_one_target_has_one_band_and_one_line() -> None:
    drawing = drawn(HEADER, told(1, None), told(2, 50.0), told(3, 20.0))
    assert len(bands(drawing)) == 1
    assert len(best(drawing)) == 1
    assert "within 5 meV" in [each.text for each in drawing.iter("text")]


def test_the_whisker_of_displaced_light_is_that_of_its_displacement() -> None:
    shape = {"distance_ev": 0.040, "distance_sd_ev": 0.010}

    def whisker(experiment: Experiment) -> float:
        (line,) = (each for each in drawn(HEADER, experiment).iter("line") if each.get("class") == "whisker")
        return at(line, "y1") - at(line, "y2")

    by_peak = replace(told(1, 40.0), peak_sd_ev=0.001)
    assert whisker(replace(by_peak, shape=shape)) > 5.0 * whisker(by_peak)
