"""Small honest plants around the reactor: a selector valve, a gas line, a tube with bubbles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class TurningValve:
    """A rotor that turns one position in ``step_s``, the short way round; ``stuck`` does not turn at all."""

    positions: int = 10
    step_s: float = 0.2
    at: int = 1
    stuck: bool = False
    arrives_s: float = -math.inf
    turns: list[tuple[float, int]] = field(default_factory=list)

    def turn(self, t_s: float, position: int) -> None:
        self.turns.append((t_s, position))
        if not self.stuck:
            steps = abs(position - self.at)
            self.arrives_s = t_s + self.step_s * min(steps, self.positions - steps)
            self.at = position

    def position(self, t_s: float) -> int | None:
        return self.at if t_s >= self.arrives_s else None


@dataclass
class GasLine:
    """A flow that follows its set-point with a lag of 0.5 s, up to what the supply gives."""

    supply_mln_min: float = math.inf
    lag_s: float = 0.5
    pressure: float = 140.0
    temperature: float = 23.5
    set_point: float = 0.0
    flow: float = 0.0
    since_s: float = -math.inf
    commands: list[float] = field(default_factory=list)

    def command(self, t_s: float, flow_mln_min: float) -> None:
        self.flow, self.since_s = self.flow_mln_min(t_s), t_s
        self.set_point = flow_mln_min
        self.commands.append(flow_mln_min)

    def flow_mln_min(self, t_s: float) -> float:
        goal = min(self.set_point, self.supply_mln_min)
        return goal + (self.flow - goal) * math.exp(-(t_s - self.since_s) / self.lag_s)

    def temperature_c(self, t_s: float) -> float:
        return self.temperature

    def pressure_kpa(self, t_s: float) -> float:
        return self.pressure


@dataclass
class Bubble:
    """Liquid, but for a bubble between two moments."""

    begins_s: float = math.inf
    ends_s: float = math.inf
    share: float = 1.0

    def gas_share(self, t_s: float) -> float:
        return self.share if self.begins_s <= t_s < self.ends_s else 0.0
