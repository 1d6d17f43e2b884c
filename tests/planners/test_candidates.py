"""Candidates fill whatever part of the space is allowed, however small it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planners import Request
from planners.candidates import pool
from planners.sampling import allowed, generator
from tests.planners.reactor import OBJECTIVE, SPACE, design


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_a_narrow_space_has_as_many_candidates_to_compare(share: float) -> None:
    request = Request(SPACE, OBJECTIVE, design(6), feasible=lambda x: np.asarray(x[:, 0] < share, dtype=np.bool_))
    unit = SPACE.to_unit([o.x for o in request.observations])
    first = np.array([o.peak_ev or 2.0 for o in request.observations])
    points = pool(request, unit, first, spread=256, local=1, rng=generator(1))
    assert allowed(request, points).all()
    assert len(points) > 256 // 4
    assert len(points) <= 256 + 50


def test_where_most_is_allowed_the_candidates_are_those_of_the_open_space() -> None:
    request = Request(SPACE, OBJECTIVE, design(6), feasible=lambda x: np.asarray(x[:, 0] < 0.5, dtype=np.bool_))
    unit = SPACE.to_unit([o.x for o in request.observations])
    first = np.array([o.peak_ev or 2.0 for o in request.observations])
    half = pool(request, unit, first, spread=256, local=15, rng=generator(1))
    whole = pool(replace(request, feasible=None), unit, first, spread=256, local=15, rng=generator(1))
    assert {tuple(point) for point in half} <= {tuple(point) for point in whole}
