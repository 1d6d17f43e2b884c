"""Expected improvement over the members."""

import dataclasses

import numpy as np
import torch

from planners import Request
from planners.acquisition import Acquisition, log_expected_improvement
from planners.candidates import pool
from planners.surrogate import Data, fit_ensemble
from tests.planners.reactor import OBJECTIVE, SPACE, design


def test_it_is_the_mean_improvement_over_the_members() -> None:
    values = torch.tensor([[10.0, -5.0], [30.0, -5.0]], dtype=torch.float64)
    incumbent = torch.tensor([[0.0], [10.0]], dtype=torch.float64)
    assert np.isclose(log_expected_improvement(values, incumbent)[0].exp().item(), 15.0, rtol=1e-3)


def test_candidates_that_no_member_calls_an_improvement_are_still_ranked() -> None:
    values = torch.tensor([[-1e2, -1e4, -1e8]], dtype=torch.float64)
    ranked = log_expected_improvement(values, torch.zeros(1, 1, dtype=torch.float64))
    assert torch.isfinite(ranked).all()
    assert ranked[0] > ranked[1] > ranked[2]


def test_a_pending_experiment_leaves_less_to_gain_beside_it() -> None:
    request = Request(SPACE, OBJECTIVE, design(12))
    data = Data.of(request)
    model = fit_ensemble(data, members=10, hidden=16, steps=15, rng=np.random.default_rng(0))
    measured = data.unit[data.succeeded]
    points = np.random.default_rng(1).random((400, 3))
    alone = Acquisition(request, model.predict, measured)
    best = points[[int(np.argmax(alone(points)))]]
    waiting = tuple(float(v) for v in SPACE.from_unit(best)[0])
    accompanied = Acquisition(dataclasses.replace(request, pending=(waiting,)), model.predict, measured)
    assert accompanied(best)[0] < alone(best)[0] - 1.0


def test_candidates_bracket_the_target_between_readings_on_either_side() -> None:
    request = Request(SPACE, OBJECTIVE)
    ends = np.array([[0.1, 0.1, 0.1], [0.9, 0.5, 0.3]])
    points = pool(request, ends, np.array([2.1, 2.4]), spread=16, local=240, rng=np.random.default_rng(0))
    along = (points - ends[0]) @ (ends[1] - ends[0]) / np.sum((ends[1] - ends[0]) ** 2)
    off = np.abs(points - (ends[0] + along[:, None] * (ends[1] - ends[0]))).max(1)
    between = np.sort(along[(off < 1e-9) & (along > 0) & (along < 1)])
    assert len(between) >= 20
    assert np.diff(between).max() < 0.1
