"""What the report shows, gathered from one journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import JournalError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import Blank, Experiment, RunState
from orchestrator.journal.journal import Event, Journal
from orchestrator.spectra.absorption import MOST_ABSORBANCE
from orchestrator.units import HC_EV_NM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Series = list[tuple[float, float]]

SPECTRUM_POINTS = 260
SERIES_COLUMNS = 900


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of one experiment, binned over the window shown: the mean of its readings minus the dark, in counts
    per second; of absorption the absorbance, less that of the reddest tenth of the window."""

    n: int
    wavelengths_nm: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Material:
    """A journal's contents as the figures need them. Times are seconds of the run."""

    path: Path
    state: RunState
    events: tuple[Event, ...]
    host: tuple[tuple[int, str, Any], ...]
    head: str
    spectra: tuple[Spectrum, ...]
    temperature_c: Mapping[str, Series] = field(default_factory=dict)
    set_point_c: Mapping[str, Series] = field(default_factory=dict)
    pressure_kpa: Mapping[str, Series] = field(default_factory=dict)


def gather(path: Path) -> Material:
    """Read everything. Raises JournalError for a journal that cannot be trusted or does not say what it must."""
    with Journal.open(path, readonly=True) as journal:
        events = tuple(journal.events())
        state = fold(events)
        spectra = _spectra(journal, state)
        host = journal.host()
    temperature: dict[str, Series] = {}
    set_point: dict[str, Series] = {}
    pressure: dict[str, Series] = {}
    for event in events:
        for call in event.calls:
            if call.get("v") != "read" or "r" not in call:
                continue
            device, t_s, result = str(call["d"]), float(call["t"]), call["r"]
            if isinstance(result, list) and len(result) >= 2:
                if _is_number(result[0]):
                    temperature.setdefault(device, []).append((t_s, float(result[0])))
                if _is_number(result[1]):
                    set_point.setdefault(device, []).append((t_s, float(result[1])))
            elif _is_number(result):
                pressure.setdefault(device, []).append((t_s, float(result)))
    return Material(
        path=path,
        state=state,
        events=events,
        host=host,
        head=events[-1].hash if events else "",
        spectra=spectra,
        temperature_c={name: thinned(series) for name, series in temperature.items()},
        set_point_c={name: corners(series) for name, series in set_point.items()},
        pressure_kpa={name: thinned(series) for name, series in pressure.items()},
    )


def thinned(series: Series, columns: int = SERIES_COLUMNS) -> Series:
    """At most two points per column of time, the lowest and the highest, so that no excursion is lost."""
    if len(series) <= 2 * columns:
        return series
    first, last = series[0][0], series[-1][0]
    width = (last - first) / columns or 1.0
    bins: dict[int, list[tuple[float, float]]] = {}
    for point in series:
        bins.setdefault(int((point[0] - first) / width), []).append(point)
    kept: Series = []
    for members in bins.values():
        extremes = {min(members, key=lambda point: point[1]), max(members, key=lambda point: point[1])}
        kept.extend(sorted(extremes))
    return kept


def corners(series: Series) -> Series:
    """Only the points at which a stepwise series changes, and the last one."""
    kept = [
        point for before, point in zip([None, *series], series, strict=False) if before is None or before[1] != point[1]
    ]
    if series and kept[-1] != series[-1]:
        kept.append(series[-1])
    return kept


def _spectra(journal: Journal, state: RunState) -> tuple[Spectrum, ...]:
    import numpy as np

    if state.blank is None:
        return ()
    wavelengths = np.frombuffer(journal.blob(state.blank.wavelengths), dtype="<f8")
    window = shown_window(state.experiments)
    inside = (wavelengths >= window[0]) & (wavelengths <= window[1])
    if not inside.any():
        return ()
    edges = np.array_split(np.flatnonzero(inside), min(SPECTRUM_POINTS, int(inside.sum())))
    centres = tuple(float(wavelengths[part].mean()) for part in edges)
    incident = _blank_rate(journal, state.blank) if state.header.get("spectra") == "absorption" else None
    result = []
    for experiment in state.experiments:
        if not experiment.spectra or not experiment.integration_s:
            continue
        frames = [np.frombuffer(journal.blob(address), dtype="<f4") for address in experiment.spectra]
        if any(frame.shape != wavelengths.shape for frame in frames):
            raise JournalError(f"{journal.path}: experiment {experiment.n} has spectra of another length")
        mean = np.mean(np.asarray(frames, dtype=np.float64), axis=0)
        if experiment.dark is not None:
            dark = np.frombuffer(journal.blob(experiment.dark), dtype="<f4")
            mean = mean - (dark if dark.shape == mean.shape else 0.0)
        rates = np.array([float(mean[part].mean()) / experiment.integration_s for part in edges])
        if incident is not None:
            rates = _absorbance(rates, np.array([float(incident[part].mean()) for part in edges]))
        result.append(Spectrum(experiment.n, centres, tuple(float(value) for value in rates)))
    return tuple(result)


def _blank_rate(journal: Journal, blank: Blank) -> Array:
    """Counts per second of the solvent's own spectrum, the last that was read."""
    import numpy as np

    light, dark = (np.frombuffer(journal.blob(address), dtype="<f4") for address in (blank.blank, blank.dark))
    return np.asarray((light - dark) / blank.integration_s, dtype=np.float64)


def _absorbance(rates: Array, incident: Array) -> Array:
    """Absorbance by bins, for the eye: what weakens all colours alike is taken off at the red end."""
    import numpy as np

    passes = np.clip(rates, 1e-12, None) / np.clip(incident, 1e-12, None)
    values = np.clip(-np.log10(passes), -MOST_ABSORBANCE, MOST_ABSORBANCE)
    return np.asarray(values - np.median(values[-max(len(values) // 10, 1) :]))


def shown_window(experiments: Sequence[Experiment]) -> tuple[float, float]:
    """Wavelengths in nm from well below the bluest accepted line to well above the reddest; the lamp is left out."""
    peaks = [HC_EV_NM / e.peak_ev for e in experiments if e.accepted and e.peak_ev]
    if not peaks:
        return 430.0, 750.0
    return max(min(peaks) - 55.0, 426.0), min(max(peaks) + 70.0, 850.0)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
