"""Which rigs a daemon has in its hands, and which of their control loops have fallen silent. Pure: times are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LATE_S: Final = 0.3
"""A look that comes so much later than it was due says that this process was kept away, and the daemon perhaps too."""


RESTARTS: Final = 3
"""How often a daemon that died is started again before it is given up."""


@dataclass
class Pulse:
    """The beats of one daemon, from its start to its death. ``limit_s``: how long a rig may be silent."""

    limit_s: float
    ready: bool = False
    _heard_s: dict[str, float] = field(default_factory=dict)
    _looked_s: float | None = None

    @property
    def rigs(self) -> tuple[str, ...]:
        """The rigs that began and did not end."""
        return tuple(self._heard_s)

    def note(self, t_s: float, words: tuple[str, ...]) -> None:
        """One message of the daemon. Words that are not known are for a later version."""
        match words:
            case ("ready",):
                self.ready = True
            case ("begin" | "beat", rig):
                self._heard_s[rig] = t_s
            case ("end", rig):
                self._heard_s.pop(rig, None)
            case _:
                pass

    def silent(self, t_s: float, period_s: float) -> tuple[str, float] | None:
        """The rig that has been silent for too long and for how long, s; None while all beat.

        To be asked every ``period_s``, after everything that has arrived was noted. After a look that came late nothing
        is concluded: what kept this process away may have kept the daemon away, and its beats are on their way.
        """
        late = self._looked_s is not None and t_s - self._looked_s > period_s + LATE_S
        self._looked_s = t_s
        if late:
            return None
        for rig, heard_s in self._heard_s.items():
            if t_s - heard_s > self.limit_s:
                return rig, t_s - heard_s
        return None


@dataclass
class Restarts:
    """How often the daemon may be started again: ``at_most`` times in ``within_s`` seconds."""

    at_most: int = RESTARTS
    within_s: float = 600.0
    _when_s: list[float] = field(default_factory=list)

    def allowed(self, t_s: float) -> bool:
        """Whether it may be started once more now; counts it where it may."""
        self._when_s = [when_s for when_s in self._when_s if t_s - when_s < self.within_s]
        if len(self._when_s) >= self.at_most:
            return False
        self._when_s.append(t_s)
        return True
