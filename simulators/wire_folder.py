"""An instrument whose software exports files: what drops them into the folder, as such software does.

The file grows in pieces while it is written, so that whoever reads it too early reads half of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from simulators.links import Loop, Timer
from simulators.plant import OpticsPlant

if TYPE_CHECKING:
    from numpy.typing import NDArray

Dialect = Literal["csv", "semicolon", "tab", "jcamp", "jcamp-asdf"]
_SUFFIX: Final = {"csv": ".csv", "semicolon": ".csv", "tab": ".txt", "jcamp": ".jdx", "jcamp-asdf": ".jdx"}
_PER_LINE: Final = 8
_DARK_FRAMES: Final = 8
_SQUEEZED: Final = "@ABCDEFGHI"
_SQUEEZED_MINUS: Final = "@abcdefghi"
_DIFFERENCE: Final = "%JKLMNOPQR"
_DIFFERENCE_MINUS: Final = "%jklmnopqr"
_DUPLICATE: Final = "0STUVWXYZs"


class FolderTwin:
    """Measures every ``period_s`` and writes one file each time, in ``pieces`` pieces over ``writing_s``.

    Args:
        plant: what is in front of the slit.
        folder: where the files go.
        wavelengths_nm: of the plant's pixels, rising, shape (pixels,).
        integration_s: the exposure that is set in the instrument.
        period_s: from the start of one exposure to the next; longer than exposure and writing together.
        dialect: how the file is written. "semicolon" has decimal commas, "tab" the header of a spectrometer program.
        overwrite: one file again and again, replaced whole, in place of a numbered one each time.
        writing_s, pieces: how the file grows.
        subtracts_dark: the instrument takes a dark spectrum when it starts, and takes it off each one.
        keeps: how many of its last files stay in the folder, or None for all.
    """

    def __init__(
        self,
        plant: OpticsPlant,
        folder: Path | str,
        wavelengths_nm: NDArray[np.float64],
        *,
        integration_s: float = 0.5,
        period_s: float = 2.0,
        dialect: Dialect = "csv",
        overwrite: bool = False,
        writing_s: float = 0.2,
        pieces: int = 3,
        subtracts_dark: bool = False,
        keeps: int | None = None,
    ) -> None:
        if not 0 < integration_s + writing_s < period_s or pieces < 1:
            raise ValueError(f"{integration_s} s and {writing_s} s do not fit into a period of {period_s} s")
        self._plant = plant
        self._folder = Path(folder)
        self._wavelengths_nm = np.asarray(wavelengths_nm, dtype=np.float64)
        self._integration_s = integration_s
        self._period_s = period_s
        self._dialect = dialect
        self._overwrite = overwrite
        self._writing_s = writing_s
        self._pieces = pieces
        self._subtracts_dark = subtracts_dark
        self._keeps = keeps
        self._dark: NDArray[np.float64] | None = None
        self._loop: Loop | None = None
        self._timers: list[Timer] = []
        self.exposures: list[tuple[float, str]] = []
        """Start of each exposure and the name of its file."""

    def start(self, loop: Loop) -> None:
        """Begin measuring; the lamp stays on."""
        self._loop = loop
        if self._subtracts_dark:
            frames = [self._plant.expose(loop.time(), self._integration_s) for _ in range(_DARK_FRAMES)]
            self._dark = np.mean(np.asarray(frames), axis=0)
        self._plant.lamp(loop.time(), True)
        self._timers = [loop.call_later(0.0, self._expose)]

    def stop(self) -> None:
        """Stop at once, in the middle of a file if need be."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def render(self, counts: NDArray[np.float64]) -> str:
        """Text of a file with these counts."""
        return _RENDERERS[self._dialect](self._wavelengths_nm, np.rint(counts))

    def _expose(self) -> None:
        assert self._loop is not None
        number = 0 if self._overwrite else len(self.exposures)
        name = f"spectrum_{number:05d}{_SUFFIX[self._dialect]}"
        self.exposures.append((self._loop.time(), name))
        self._timers = [
            self._loop.call_later(self._integration_s, self._write, self._loop.time(), name),
            self._loop.call_later(self._period_s, self._expose),
        ]

    def _write(self, began_s: float, name: str) -> None:
        assert self._loop is not None
        counts = self._plant.expose(began_s, self._integration_s)
        text = self.render(counts if self._dark is None else counts - self._dark)
        path = self._folder / name
        if self._overwrite:
            path.unlink(missing_ok=True)
        if self._keeps is not None and len(self.exposures) > self._keeps:
            (self._folder / self.exposures[-1 - self._keeps][1]).unlink(missing_ok=True)
        cuts = [round(len(text) * piece / self._pieces) for piece in range(self._pieces + 1)]
        for piece in range(self._pieces):
            delay_s = self._writing_s * piece / self._pieces
            self._timers.append(self._loop.call_later(delay_s, _append, path, text[cuts[piece] : cuts[piece + 1]]))


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def _csv(wavelengths_nm: NDArray[np.float64], counts: NDArray[np.float64]) -> str:
    rows = [f"{x:.3f},{y:.0f}" for x, y in zip(wavelengths_nm, counts, strict=True)]
    return "\n".join(["Wavelength (nm),Intensity (counts)", *rows, ""])


def _semicolon(wavelengths_nm: NDArray[np.float64], counts: NDArray[np.float64]) -> str:
    rows = [f"{x:.3f};{y:.1f}".replace(".", ",") for x, y in zip(wavelengths_nm, counts, strict=True)]
    return "\r\n".join(["Wellenlänge [nm];Intensität", *rows, ""])


def _tab(wavelengths_nm: NDArray[np.float64], counts: NDArray[np.float64]) -> str:
    head = [
        f"Data from spectrum_{counts.size}.txt Node",
        "",
        "User: lab",
        "Integration Time (sec): 5.000000E-1",
        f"Number of Pixels in Spectrum: {counts.size}",
        ">>>>>Begin Spectral Data<<<<<",
    ]
    rows = [f"{x:.3f}\t{y:.2f}" for x, y in zip(wavelengths_nm, counts, strict=True)]
    return "\n".join([*head, *rows, ""])


def _jcamp(wavelengths_nm: NDArray[np.float64], counts: NDArray[np.float64]) -> str:
    """Pixels are not equally spaced, so plain JCAMP-DX lists pairs."""
    rows = [f"{x:.3f}, {y:.0f}" for x, y in zip(wavelengths_nm, counts, strict=True)]
    return "\n".join([*_jcamp_head(counts.size), "##XYPOINTS= (XY..XY)", *rows, "##END=", ""])


def _jcamp_asdf(wavelengths_nm: NDArray[np.float64], counts: NDArray[np.float64]) -> str:
    """Interpolated to equal spacing, squeezed and in differences with their Y checks."""
    x = np.linspace(wavelengths_nm[0], wavelengths_nm[-1], wavelengths_nm.size)
    y = [int(value) for value in np.rint(np.interp(x, wavelengths_nm, counts))]
    rows = []
    for start in range(0, len(y), _PER_LINE):
        # Each line but the first begins with the last value of the line before, which is the Y check.
        first = max(start - 1, 0)
        rows.append(f"{x[first]:.4f}" + squeeze(y[first : start + _PER_LINE]))
    rows.append(f"{x[-1]:.4f}{_digits(y[-1], _SQUEEZED, _SQUEEZED_MINUS)}")
    head = [f"##FIRSTX= {x[0]:.6f}", f"##LASTX= {x[-1]:.6f}", f"##FIRSTY= {y[0]}", "##XFACTOR= 1.0", "##YFACTOR= 1.0"]
    return "\n".join([*_jcamp_head(len(y)), *head, "##XYDATA= (X++(Y..Y))", *rows, "##END=", ""])


def squeeze(values: list[int]) -> str:
    """Integers in DIFDUP form: the first squeezed, then differences, repeated ones counted."""
    text = _digits(values[0], _SQUEEZED, _SQUEEZED_MINUS)
    differences = [after - before for before, after in pairwise(values)]
    at = 0
    while at < len(differences):
        run = 1
        while at + run < len(differences) and differences[at + run] == differences[at]:
            run += 1
        text += _digits(differences[at], _DIFFERENCE, _DIFFERENCE_MINUS)
        if run > 1:
            text += _digits(run, _DUPLICATE, _DUPLICATE)
        at += run
    return text


def _digits(value: int, plus: str, minus: str) -> str:
    """A number whose first digit also carries the sign and says what follows."""
    digits = str(abs(value))
    return (minus if value < 0 else plus)[int(digits[0])] + digits[1:]


def _jcamp_head(points: int) -> list[str]:
    return [
        "##TITLE= flow cell",
        "##JCAMP-DX= 4.24 $$ twin",
        "##DATA TYPE= UV/VIS SPECTRUM",
        "##XUNITS= NANOMETERS",
        "##YUNITS= COUNTS",
        f"##NPOINTS= {points}",
    ]


_RENDERERS: Final[dict[Dialect, Callable[[NDArray[np.float64], NDArray[np.float64]], str]]] = {
    "csv": _csv,
    "semicolon": _semicolon,
    "tab": _tab,
    "jcamp": _jcamp,
    "jcamp-asdf": _jcamp_asdf,
}
