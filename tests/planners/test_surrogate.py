"""The ensemble as a surrogate and as a BoTorch model."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from planners import Request
from planners.data import Data
from planners.ensemble import Ensemble
from planners.network import ridge
from planners.surrogate import EnsembleSurrogate, fit_ensemble
from tests.planners.reactor import OBJECTIVE, SPACE, design

MEMBERS = 8
FLOORS = (OBJECTIVE.other_noise, OBJECTIVE.spread_floor)


def fitted(count: int = 14, steps: int = 15) -> tuple[EnsembleSurrogate, Data]:
    data = Data.of(Request(SPACE, OBJECTIVE, design(count)))
    return fit_ensemble(data, members=MEMBERS, hidden=16, steps=steps, rng=np.random.default_rng(0)), data


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_as_a_botorch_model_it_gives_members_queries_and_outputs(batch: tuple[int, ...]) -> None:
    model, _ = fitted()
    x = torch.rand(*batch, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert model.forward(x).shape == (*batch, MEMBERS, 4, 3)
    posterior = model.posterior(x)
    assert posterior.mean.shape == (*batch, 4, 3)
    assert posterior.rsample(torch.Size([5])).shape == (5, *batch, 4, 3)
    assert model.num_outputs == 3


def test_gradients_reach_the_inputs() -> None:
    model, _ = fitted()
    x = torch.full((1, 3), 0.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.posterior(x).mean[0, 0], x)
    step = torch.tensor([[1e-3, 0.0, 0.0]], dtype=torch.float64)
    with torch.no_grad():
        slope = (model.posterior(x + step).mean - model.posterior(x - step).mean)[0, 0] / 2e-3
    assert torch.isclose(gradient[0, 0], slope, rtol=1e-3)


def test_batches_and_single_points_are_predicted_alike() -> None:
    model, _ = fitted()
    x = torch.rand(2, 3, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one = model.forward(x[1, 2, 1:2])
    assert torch.allclose(model.forward(x)[1, 2, :, 1:2], one)


def test_an_acquisition_function_of_botorch_runs_on_it() -> None:
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.objective import GenericMCObjective

    model, data = fitted()

    def closeness(outputs: torch.Tensor, X: torch.Tensor | None = None) -> torch.Tensor:
        return -(outputs[..., 0] - OBJECTIVE.target_peak_ev).abs()

    function = qLogNoisyExpectedImprovement(
        model,
        X_baseline=torch.from_numpy(data.unit[data.succeeded]),
        objective=GenericMCObjective(closeness),
        prune_baseline=False,
        cache_root=False,
    )
    assert torch.isfinite(function(torch.rand(5, 1, 3, dtype=torch.float64))).all()


def test_members_pass_through_the_data_and_part_ways_far_from_it() -> None:
    unit = 0.3 * np.random.default_rng(5).random((10, 3))
    readings = np.column_stack([2.0 + unit[:, 0] + 0.5 * unit[:, 1], np.full(10, 0.1), np.full(10, 0.5)])
    data = Data(unit, readings, np.full(10, 0.001), *FLOORS)
    model = fit_ensemble(data, members=64, hidden=64, steps=30, rng=np.random.default_rng(0))
    near, _ = model.predict(torch.from_numpy(data.unit))
    far, _ = model.predict(torch.ones(1, 3, dtype=torch.float64))
    assert np.allclose(near[..., 0].mean(0).numpy(), data.readings[:, 0], atol=0.02)
    assert far[:, 0, 0].std() > 4 * near[..., 0].std(0).max()


def test_the_chance_of_a_reading_falls_towards_the_failures() -> None:
    model, data = fitted(count=24)
    assert 0 < data.succeeded.sum() < 24
    _, chance = model.predict(torch.tensor([[0.5, 0.95, 0.95], [0.5, 0.2, 0.2]], dtype=torch.float64))
    assert chance[0] < 0.4
    assert chance[1] > 0.8


def test_one_failure_leaves_recipes_of_its_kind_a_chance() -> None:
    ligand, equivalents = [0, 0, 0, 0, 1, 1, 1, 1, 2], np.array([0.1, 0.4, 0.6, 0.9, 0.1, 0.4, 0.6, 0.9, 0.4])
    readings = np.column_stack([2.0 + equivalents, np.full(9, 0.1), np.full(9, 0.5)])
    readings[8] = math.nan
    unit = np.column_stack([0.7 * np.eye(3)[ligand], equivalents])
    data = Data(unit, readings, np.full(9, 0.001), *FLOORS)
    model = fit_ensemble(data, members=256, hidden=128, steps=20, rng=np.random.default_rng(0))
    _, (same_ligand, another) = model.predict(torch.from_numpy(np.array([[0.0, 0.0, 0.7, 0.9], unit[7]])))
    assert 0.15 < same_ligand < 0.6
    assert another > 0.9


def test_without_failures_every_reading_is_expected() -> None:
    model = fit_ensemble(
        Data(np.eye(3), np.array([[2.1, 0.1, 0.5], [2.2, 0.1, 0.5], [2.3, 0.1, 0.5]]), np.full(3, 0.001), *FLOORS),
        members=4, hidden=8, steps=3, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert (model.predict(torch.rand(5, 3, dtype=torch.float64))[1] == 1.0).all()


def test_many_rows_and_few_rows_share_one_last_layer() -> None:
    rng = np.random.default_rng(0)
    z, y = torch.from_numpy(rng.standard_normal((2, 9, 4))), torch.from_numpy(rng.standard_normal((2, 9, 3)))
    tall = ridge(z, y)
    wide = ridge(torch.cat([z, torch.zeros(2, 9, 8, dtype=torch.float64)], -1), y)
    assert torch.allclose(tall, wide[:, :4])
    assert (wide[:, 4:] == 0).all()


def test_most_of_new_readings_fall_in_the_stated_range() -> None:
    model, _ = fitted(count=20, steps=40)
    fresh = Data.of(Request(SPACE, OBJECTIVE, design(60, seed=9)))
    outputs, _ = model.predict(torch.from_numpy(fresh.unit[fresh.succeeded]))
    half = 1.645 * np.hypot(outputs[..., 0].std(0).numpy(), 0.001)
    inside = np.abs(outputs[..., 0].mean(0).numpy() - fresh.readings[fresh.succeeded, 0]) <= half
    assert 0.7 <= inside.mean() <= 1.0


def test_an_absent_width_leaves_the_peak_alone() -> None:
    _, data = fitted()
    holes = dataclasses.replace(data, readings=data.readings.copy())
    holes.readings[::2, 1] = math.nan
    model = fit_ensemble(holes, members=MEMBERS, hidden=16, steps=15, rng=np.random.default_rng(0))
    outputs, _ = model.predict(torch.from_numpy(data.unit))
    assert torch.isfinite(outputs).all()


def test_what_a_reading_states_of_its_noise_is_believed_and_not_widened() -> None:
    request = Request(SPACE, OBJECTIVE, design(10))
    silent = Request(SPACE, OBJECTIVE, tuple(dataclasses.replace(o, peak_sd_ev=None) for o in request.observations))
    points = torch.rand(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    told, untold = (
        fit_ensemble(Data.of(r), members=64, hidden=64, steps=20, rng=np.random.default_rng(0)).noise(points)
        for r in (request, silent)
    )
    assert told[:, 0].mean() < 0.7 * untold[:, 0].mean()
    loud = tuple(dataclasses.replace(o, peak_sd_ev=0.5) for o in request.observations)
    fitted = Ensemble(members=16, hidden=32).fit(
        Request(SPACE, OBJECTIVE, loud), Data.of(Request(SPACE, OBJECTIVE, loud)), np.random.default_rng(0)
    )
    sd = fitted.believe(points.numpy()).sd[:, 0]
    assert ((sd >= 0.5) & (sd < 0.65)).all()
