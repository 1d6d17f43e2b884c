"""The simplex of Nelder and Mead (Comput. J. 7:308, 1965), as scipy has it, with the adaptive coefficients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planners.asked import Cost, Searched

_STEP = 0.15


@dataclass(frozen=True)
class NelderMead(Searched):
    """A simplex from the best point of the initial design; begun anew from the next best when it has contracted."""

    @property
    def name(self) -> str:
        """See `planners.Strategy`."""
        return "nelder_mead"

    @property
    def step(self) -> str:
        """See `Searched`."""
        return "step of the simplex"

    def search(self, cost: Cost, start: NDArray[np.float64], start_costs: NDArray[np.float64], seed: int) -> None:
        """See `Searched`."""
        from scipy import optimize

        minimize: Any = optimize.minimize  # its stubs know no Nelder-Mead with these options

        d = start.shape[1]
        corner = start[0]
        # Steps away from the nearer wall, so that no corner of the first simplex is cut off by a bound.
        simplex = np.vstack([corner, corner + np.diag(np.where(corner < 0.5, _STEP, -_STEP))])
        minimize(
            lambda point: cost(np.asarray(point, dtype=np.float64)),
            corner,
            method="Nelder-Mead",
            bounds=[(0.0, 1.0)] * d,
            options={"initial_simplex": simplex, "xatol": 2e-3, "fatol": 0.0, "adaptive": True, "maxfev": 2000},
        )
