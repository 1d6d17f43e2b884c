"""Residence-time distributions: right moments, right shape, whatever the tube."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.rtd import age_classes
from simulators.specs import TubeSpec


@pytest.mark.parametrize(
    "tube",
    [
        TubeSpec(1000.0, 0.5, "laminar"),
        TubeSpec(1000.0, 0.5, "plug"),
        *(TubeSpec(1000.0, 0.5, "tanks", n) for n in (1.0, 2.5, 30.0, 400.0)),
    ],
)
def test_shares_sum_to_one_and_the_mean_age_is_the_tube_volume_over_flow(tube: TubeSpec) -> None:
    classes = age_classes(tube, 24)
    assert classes.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert classes.weights @ classes.ages == pytest.approx(1.0, abs=1e-9)
    assert np.all(np.diff(classes.ages) > 0.0) or classes.ages.size == 1
    assert np.all(classes.youngest >= 0.0)
    assert np.all(classes.oldest > classes.youngest)
    assert (classes.youngest + classes.oldest) / 2.0 == pytest.approx(classes.ages, rel=1e-9)


@pytest.mark.parametrize("tanks", [2.5, 10.0, 30.0, 100.0])
def test_the_variance_of_tanks_in_series_is_one_over_their_number(tanks: float) -> None:
    classes = age_classes(TubeSpec(1000.0, 0.5, "tanks", tanks), 48)
    variance = classes.weights @ classes.ages**2 - 1.0
    assert variance == pytest.approx(1.0 / tanks, rel=0.02)


@pytest.mark.parametrize(("age", "share"), [(0.5, 0.0), (1.0, 0.75), (2.24, 0.95), (5.0, 0.99)])
def test_the_laminar_distribution_is_the_convective_one(age: float, share: float) -> None:
    classes = age_classes(TubeSpec(1000.0, 0.5, "laminar"), 400)
    assert classes.weights[classes.ages <= age].sum() == pytest.approx(share, abs=0.005)


def test_segmented_flow_is_close_to_plug_flow() -> None:
    segmented = age_classes(TubeSpec(1000.0, 0.5, "tanks", 1000.0), 24)
    assert np.abs(segmented.ages - 1.0).max() < 0.12
