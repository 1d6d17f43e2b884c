"""Many small neural networks as one batched tensor program.

Every network is x -> [1, g x, tanh(W2 tanh(W1 (g x) + b1) + b2)] . w with its own input gains g, hidden weights and
last layer w. The last layer has a Gaussian prior and is integrated out in closed form, so the hidden weights, gains,
scales and noise are fitted by Adam on the marginal likelihood of the data (a neural linear model: Snoek et al., ICML
2015; Gaussian evidence: Rasmussen & Williams 2006, eq. 2.30) with a Gaussian prior around their random start. The
last layer is then drawn by randomise-then-optimise: a random prior function and noisy targets, regressed exactly
(Matthews et al. 2017; Osband et al., NeurIPS 2018). Members agree where there is data and fan out where there is none.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GAIN = 0.4
_GAIN_LOG_SD = 0.7
_SCALE_LOG_SD = 1.5
_NOISE = 0.01
_LEARNING_RATE = 0.08
_HIDDEN_LEARNING_RATE = 0.05
_JITTER = 1e-6
_FITTED_ROWS = 32
"""Most rows that the hidden weights of one network see (its last layer sees all): the fit stays flat in n."""


@dataclass(frozen=True)
class Hidden:
    """All of B networks but their last layers: d inputs, H hidden units per layer, F = 1 + d + H features, float64."""

    log_gain: Tensor  # B x d x 1
    log_scale: Tensor  # B x 1 x 2: linear part, hidden part
    w1: Tensor  # B x d x H
    b1: Tensor  # B x 1 x H
    w2: Tensor  # B x H x H
    b2: Tensor  # B x 1 x H

    def features(self, x: Tensor) -> Tensor:
        """Inputs in -1..1 [B, N, d] -> features [B, N, F], scaled so that a last-layer weight has a unit prior."""
        gain = self.log_gain.exp()
        scale = self.log_scale.exp()
        hidden = torch.tanh(torch.baddbmm(self.b1, x, self.w1 * gain))
        hidden = torch.tanh(torch.baddbmm(self.b2, hidden, self.w2))
        hidden = hidden * (scale[..., 1:] / math.sqrt(self.w1.shape[-1]))
        return torch.cat([torch.ones_like(x[..., :1]), x * (gain.mT * scale[..., :1]), hidden], dim=-1)


@dataclass(frozen=True)
class Networks:
    """B fitted networks."""

    hidden: Hidden
    last: Tensor  # B x F x 1
    log_noise: Tensor  # B x 1, fitted noise beside the known one, standardised

    def __call__(self, x: Tensor) -> Tensor:
        """Unit points [N, d] -> standardised outputs [B, N]."""
        inputs = (2.0 * x - 1.0).expand(self.last.shape[0], *x.shape)
        return torch.bmm(self.hidden.features(inputs), self.last).squeeze(-1)


@dataclass(frozen=True)
class _Evidence:
    """A factor of I + Z Z^T or I + Z^T Z, whichever is smaller, where Z [B, n, F] are features over noise."""

    z: Tensor
    factor: Tensor
    primal: bool

    @classmethod
    def of(cls, z: Tensor) -> "_Evidence":
        primal = z.shape[-2] > z.shape[-1]
        gram = z.mT @ z if primal else z @ z.mT
        eye = torch.eye(gram.shape[-1], dtype=z.dtype)
        return cls(z, torch.linalg.cholesky(gram + (1.0 + _JITTER) * eye), primal)

    def log_determinant(self) -> Tensor:
        return 2.0 * torch.diagonal(self.factor, dim1=-2, dim2=-1).log().sum(-1)

    def quadratic(self, y: Tensor) -> Tensor:
        """y^T (I + Z Z^T)^-1 y for y [B, n, 1]: [B]."""
        side = self.z.mT @ y if self.primal else y
        part: Tensor = torch.linalg.solve_triangular(self.factor, side, upper=False).square().sum((-2, -1))
        return y.square().sum((-2, -1)) - part if self.primal else part

    def weights(self, y: Tensor) -> Tensor:
        """Posterior mean Z^T (I + Z Z^T)^-1 y of the last layer: [B, F, 1]."""
        if self.primal:
            return torch.cholesky_solve(self.z.mT @ y, self.factor)
        return self.z.mT @ torch.cholesky_solve(y, self.factor)


def fit(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    noise: NDArray[np.float64],
    held_out: NDArray[np.bool_],
    *,
    hidden: int,
    steps: int,
    rng: np.random.Generator,
) -> tuple[Networks, NDArray[np.float64]]:
    """Fit B networks at once. Gives them and, as a check on them, what each predicts [B, n] without its held-out rows.

    The held-out rows [B, n] of a network are left out of the fit of its hidden weights and its check, and are put back
    for its last layer.

    Args:
        x: unit points [n, d], shared by all networks.
        y: standardised targets [B, n].
        noise: known noise of each target [B, n] in standardised units; infinite where a target is absent.
        hidden: width H of both hidden layers.
        steps: Adam steps, full batch.
        rng: the source of every random number.
    """
    count, (_, d) = y.shape[0], x.shape

    def normal(*shape: int, sd: float = 1.0) -> Tensor:
        return torch.from_numpy(sd * rng.standard_normal(shape))

    start = math.log(_GAIN)
    log_gain = start + normal(count, d, 1, sd=0.3 * _GAIN_LOG_SD)
    w1, b1 = normal(count, d, hidden), normal(count, 1, hidden, sd=0.5)
    w2, b2 = normal(count, hidden, hidden, sd=1.5 / math.sqrt(hidden)), normal(count, 1, hidden, sd=0.5)
    body = Hidden(log_gain, torch.zeros(count, 1, 2, dtype=torch.float64), w1, b1, w2, b2)
    w1_start, w2_start = w1.clone(), w2.clone()
    log_noise = torch.full((count, 1), math.log(2 * _NOISE), dtype=torch.float64)

    inputs = (2.0 * torch.from_numpy(x) - 1.0).expand(count, *x.shape)
    targets = torch.from_numpy(y)
    known = torch.from_numpy(noise).square()
    present = torch.isfinite(known)
    targets = torch.where(present, targets, 0.0)

    fitting = torch.where(torch.from_numpy(held_out), math.inf, known)
    rows = torch.arange(len(x)).expand(count, -1)
    if len(x) > _FITTED_ROWS:
        keys = torch.from_numpy(rng.random(y.shape)) + torch.isinf(fitting)
        rows = keys.argsort(1)[:, :_FITTED_ROWS]
    fitted_inputs = inputs.gather(1, rows[..., None].expand(-1, -1, x.shape[1]))
    fitted_targets, fitted_variance = targets.gather(1, rows), fitting.gather(1, rows)
    fitted_present = torch.isfinite(fitted_variance)

    def precision(variance: Tensor) -> Tensor:
        root: Tensor = (variance + (2.0 * log_noise).exp()).rsqrt()
        return root  # zero where the variance is infinite

    parameters = [log_gain, body.log_scale, log_noise, w1, w2]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.Adam(
        [
            {"params": [log_gain, body.log_scale, log_noise], "lr": _LEARNING_RATE},
            {"params": [w1, w2], "lr": _HIDDEN_LEARNING_RATE},
        ],
        foreach=True,
    )
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            root = precision(fitted_variance)
            z = body.features(fitted_inputs) * root[..., None]
            evidence = _Evidence.of(z)
            log_root = torch.where(fitted_present, root, 1.0).log().sum(-1)
            loss = (
                0.5 * evidence.quadratic((fitted_targets * root)[..., None])
                + 0.5 * evidence.log_determinant()
                - log_root
            ).sum()
            loss = loss + 0.5 * (
                ((log_gain - start) / _GAIN_LOG_SD).square().sum() + (body.log_scale / _SCALE_LOG_SD).square().sum()
            )
            loss = loss + 0.5 * (log_noise - math.log(_NOISE)).square().sum()
            loss = loss + 0.5 * ((w1 - w1_start).square().sum() + hidden * (w2 - w2_start).square().sum())
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
    with torch.no_grad():
        features = body.features(inputs)
        prior = normal(count, 1 + d + hidden, 1)
        scatter = torch.where(present, normal(*y.shape), 0.0)

        def last_layer(variance: Tensor) -> Tensor:
            root = precision(variance)
            residual = (targets - (features @ prior)[..., 0]) * root + torch.where(root > 0, scatter, 0.0)
            return prior + _Evidence.of(features * root[..., None]).weights(residual[..., None])

        check = (features @ last_layer(fitting))[..., 0]
        last = last_layer(known)
    networks = Networks(body, last, log_noise)
    return networks, np.asarray(check.numpy(), dtype=np.float64)
