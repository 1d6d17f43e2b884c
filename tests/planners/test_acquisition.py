"""Expected improvement over the members, and upper confidence."""

import dataclasses

import numpy as np
import torch

from planners import Observation, OneOutput, Request
from planners.acquisition import Improvement, UpperConfidence, log_expected_improvement
from planners.candidates import pool
from planners.data import Data
from planners.surrogate import fit_ensemble
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
    alone = Improvement(request, model.predict, measured)
    best = points[[int(np.argmax(alone(points)))]]
    waiting = tuple(float(v) for v in SPACE.from_unit(best)[0])
    accompanied = Improvement(dataclasses.replace(request, pending=(waiting,)), model.predict, measured)
    assert accompanied(best)[0] < alone(best)[0] - 1.0


def test_an_extreme_is_looked_for_where_members_hope_for_it_and_pending_ones_are_hoped_for_no_more() -> None:
    told = tuple(Observation(o.x, values=(sum(o.x[:1]),)) for o in design(12))
    request = Request(SPACE, OneOutput("y", "maximise"), told)
    model = fit_ensemble(Data.of(request), members=32, hidden=32, steps=15, rng=np.random.default_rng(0))
    points = np.random.default_rng(1).random((400, 3))
    alone = UpperConfidence(request, model.predict)
    outputs, _ = model.predict(torch.from_numpy(points))
    assert np.allclose(alone(points), (outputs[..., 0].mean(0) + outputs[..., 0].std(0)).numpy())
    best = points[[int(np.argmax(alone(points)))]]
    waiting = tuple(float(v) for v in SPACE.from_unit(best)[0])
    accompanied = UpperConfidence(dataclasses.replace(request, pending=(waiting,)), model.predict)
    assert np.allclose(accompanied(best), outputs[..., 0].mean(0).numpy()[np.argmax(alone(points))], atol=1e-4)
    assert (accompanied(points) <= alone(points) + 1e-9).all()


def test_candidates_bracket_the_target_between_readings_on_either_side() -> None:
    request = Request(SPACE, OBJECTIVE)
    ends = np.array([[0.1, 0.1, 0.1], [0.9, 0.5, 0.3]])
    points = pool(request, ends, np.array([2.1, 2.4]), spread=16, local=240, rng=np.random.default_rng(0))
    along = (points - ends[0]) @ (ends[1] - ends[0]) / np.sum((ends[1] - ends[0]) ** 2)
    off = np.abs(points - (ends[0] + along[:, None] * (ends[1] - ends[0]))).max(1)
    between = np.sort(along[(off < 1e-9) & (along > 0) & (along < 1)])
    assert len(between) >= 20
    assert np.diff(between).max() < 0.1
