"""Gaussian-process strategies, to compare with: the target inside the acquisition, and the score as a black box."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.modelled import Belief, Fitted, Modelled, Ranking
from planners.objective import Wanted
from planners.records import Request
from planners.sizes import factor_to_usual_size
from planners.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from planners.data import Data

_LABEL_NOISE = 0.1
_AT_ONCE = 128
"""Candidates that an acquisition function sees at once: each brings a covariance with all of the baseline."""


@contextmanager
def quiet(seed: int) -> Iterator[None]:
    """BoTorch's fits may draw from torch's global generator and warn about retries: neither leaves this block."""
    import torch

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        yield


def fit_gp(
    x: NDArray[np.float64], y: NDArray[np.float64], variance: NDArray[np.float64] | None = None, trend: Any = None
) -> Any:
    """The default SingleTaskGP of y [n] on features [n, D], around a trend if given; noise is fitted unless given."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    train = torch.from_numpy(y)[:, None]
    known = None if variance is None else torch.from_numpy(variance)[:, None]
    constant = float(np.ptp(y)) < 1e-9
    model = SingleTaskGP(
        torch.from_numpy(x), train, known, mean_module=trend, outcome_transform=None if constant else Standardize(1)
    )
    if not constant:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model.eval()


def chance_model(data: "Data") -> Callable[["Tensor"], "Tensor"]:
    """The chance of a reading [N] at features [N, D], from a GP on +-1 labels read through a probit."""
    import torch
    from torch import Tensor

    if data.succeeded.all():
        return lambda unit: torch.ones(len(unit), dtype=torch.float64)
    labels = np.where(data.succeeded, 1.0, -1.0)
    model = fit_gp(data.unit, labels, np.full(len(labels), _LABEL_NOISE**2))

    def chance(unit: Tensor) -> Tensor:
        posterior = model.posterior(unit)
        deviation = (posterior.variance[:, 0] + 0.25).sqrt()
        probability: Tensor = torch.special.ndtr(posterior.mean[:, 0] / deviation)
        return probability

    return chance


@dataclass(frozen=True)
class _GaussianProcess(Modelled):
    samples: int = 64

    def __post_init__(self) -> None:
        for setting, value in (("samples", self.samples), ("spread", self.spread), ("local", self.local)):
            if value < 1:
                raise PlannerError(f"{self.name}: {setting} must be at least 1, not {value}")


@dataclass(frozen=True)
class CompositeGP(_GaussianProcess):
    """One SingleTaskGP for each raw output; noisy expected improvement of the utility of their joint samples."""

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "gp"

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit a GP to each output that was read at least twice; one that was not is taken as zero."""
        seed = int(rng.integers(2**31))
        with quiet(seed):
            return _FittedComposite(request, data, self.samples, seed)


class _FittedComposite(Fitted):
    logarithmic = True

    def __init__(self, request: Request, data: "Data", samples: int, seed: int) -> None:
        from botorch.models.model_list_gp_regression import ModelListGP

        self.acquisition = "log noisy expected improvement of utility × chance of a reading"
        self.described = "The Gaussian process"
        self._objective: Wanted = request.objective
        self._space: SearchSpace = request.space
        self._samples = samples
        self._seed = seed
        models = []
        for i in range(data.outputs):
            rows = ~np.isnan(data.readings[:, i])
            if rows.sum() < 2:
                models.append(fit_gp(data.unit[:1], np.zeros(1)))
            else:
                models.append(fit_gp(data.unit[rows], data.readings[rows, i]))
        self._model = ModelListGP(*models)
        self._chance = chance_model(data)
        self._noise = float(np.median(data.first_sd))

    def _utility(self, outputs: "Tensor", X: "Tensor | None" = None) -> "Tensor":  # noqa: N803 - BoTorch's name
        return self._objective.worth(outputs)

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """See `planners.modelled.Fitted`."""
        import torch
        from scipy.special import ndtri

        with torch.no_grad(), quiet(self._seed):
            x = torch.from_numpy(self._space.encode(unit))
            posterior = self._model.posterior(x)
            mean, sd = posterior.mean, posterior.variance.sqrt()
            quantiles = torch.from_numpy(ndtri((np.arange(15) + 0.5) / 15))[:, None]
            possible = mean.repeat(len(quantiles), 1, 1)
            possible[..., 0] = mean[:, 0] + quantiles * sd[:, 0]
            utility = self._objective.worth(possible).mean(0)
            chance = self._chance(x)
        deviation = sd.numpy().copy()
        deviation[:, 0] = np.hypot(deviation[:, 0], self._noise)
        return Belief(mean.numpy(), deviation, chance.numpy(), utility.numpy())

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """See `planners.modelled.Fitted`."""
        import torch
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.acquisition.objective import GenericMCObjective
        from botorch.sampling.normal import SobolQMCNormalSampler

        encode = self._space.encode
        with quiet(self._seed):
            function = qLogNoisyExpectedImprovement(
                self._model,
                X_baseline=torch.from_numpy(encode(measured)),
                sampler=SobolQMCNormalSampler(torch.Size([self._samples]), seed=self._seed),
                objective=GenericMCObjective(self._utility),
                X_pending=torch.from_numpy(encode(request.space.to_unit(request.pending))) if request.pending else None,
                prune_baseline=True,
            )

        def rank(unit: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.no_grad(), quiet(self._seed):
                x = torch.from_numpy(self._space.encode(unit))
                value = torch.cat([function(x[i : i + _AT_ONCE, None, :]) for i in range(0, len(x), _AT_ONCE)])
                value = value + self._chance(x).clip(1e-6, None).log()
            return np.asarray(value.numpy(), dtype=np.float64)

        return rank


@dataclass(frozen=True)
class ScalarGP(_GaussianProcess):
    """One SingleTaskGP on the scored utility: the model never sees the peak. Log expected improvement."""

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "gp_scalar"

    def fit(self, request: Request, data: "Data", rng: np.random.Generator) -> Fitted:
        """Fit a GP to the utilities."""
        seed = int(rng.integers(2**31))
        with quiet(seed):
            return _FittedScalar(request, data, seed)


class _FittedScalar(Fitted):
    logarithmic = True

    def __init__(self, request: Request, data: "Data", seed: int) -> None:
        self.acquisition = "log expected improvement of the scalar score × chance of a reading"
        self.described = "The scalar Gaussian process"
        self._seed = seed
        self._space: SearchSpace = request.space
        self._outputs = data.outputs
        rows = data.succeeded
        scores = request.objective.score_rows(data.readings[rows])
        self._factor = factor_to_usual_size(float(np.max(np.abs(scores))))
        self._best = float(scores.max()) * self._factor
        self._model = fit_gp(data.unit[rows], scores * self._factor)
        self._chance = chance_model(data)

    def believe(self, unit: NDArray[np.float64]) -> Belief:
        """See `planners.modelled.Fitted`; the outputs are unknown to this model: NaN."""
        import torch

        with torch.no_grad(), quiet(self._seed):
            x = torch.from_numpy(self._space.encode(unit))
            utility = self._model.posterior(x).mean[:, 0].numpy()
            chance = self._chance(x).numpy()
        unknown = np.full((len(unit), self._outputs), np.nan)
        return Belief(unknown, unknown, chance, utility / self._factor)

    def ranking(self, request: Request, measured: NDArray[np.float64]) -> Ranking:
        """See `planners.modelled.Fitted`. Pending experiments only bar their own neighbourhood."""
        import torch
        from botorch.acquisition.analytic import LogExpectedImprovement

        function = LogExpectedImprovement(self._model, best_f=self._best)

        def rank(unit: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.no_grad(), quiet(self._seed):
                x = torch.from_numpy(self._space.encode(unit))
                value = function(x[:, None, :]) + self._chance(x).clip(1e-6, None).log()
            return np.asarray(value.numpy() - math.log(self._factor), dtype=np.float64)

        return rank
