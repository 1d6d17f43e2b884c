"""A small kit for drawing figures as SVG: scales, ticks, and a plot that collects its marks.

Colours and line styles are the page's (CSS classes); a mark that has a colour of its own carries it as `--c`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Maps values from `low`..`high` to pixels from `start`..`end`, linearly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, 1e-12) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 6) -> list[float]:
        """Round values inside the range: 1, 2, 5 times powers of ten."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high, about)


def linear_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """About so many round values from `low` to `high`, both inclusive where they are round."""
    if not high > low:
        return [low]
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 per decade for up to two decades, else the decades."""
    decades = math.log10(high / low)
    factors = (1.0, 2.0, 5.0) if decades <= 2.2 else (1.0,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = (factor * 10.0**exponent for exponent in exponents for factor in factors)
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


def padded(values: Iterable[float], share: float = 0.06, least: float = 0.0) -> tuple[float, float]:
    """Range of the values with a margin; never of zero width."""
    known = list(values)
    low, high = min(known), max(known)
    margin = max((high - low) * share, least / 2, 1e-9 * max(abs(low), abs(high), 1.0))
    return low - margin, high + margin


def number(value: float, digits: int = 4) -> str:
    """A number for people: so many significant digits, no exponent in the usual range, a true minus sign."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        text = f"{value:.{digits - 1}e}"
    else:
        decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
        text = f"{value:.{decimals}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


@dataclass
class Plot:
    """One panel: marks in the order in which they are drawn, between margins, in a box of `width` by `height`."""

    width: float
    height: float
    left: float = 56.0
    right: float = 18.0
    top: float = 12.0
    bottom: float = 40.0
    x: Scale = field(init=False)
    y: Scale = field(init=False)
    _marks: list[Markup] = field(default_factory=list)

    def scales(
        self, x: tuple[float, float], y: tuple[float, float], *, x_log: bool = False, y_log: bool = False
    ) -> Plot:
        """Set what the panel spans; y grows upwards."""
        self.x = Scale(*x, self.left, self.width - self.right, x_log)
        self.y = Scale(*y, self.height - self.bottom, self.top, y_log)
        return self

    def add(self, template: str, **values: object) -> None:
        """Any mark; values are escaped."""
        self._marks.append(Markup(template).format(**values))

    def x_axis(
        self,
        label: str,
        ticks: Sequence[float] | None = None,
        text: Callable[[float], str] = number,
        grid: bool = False,
    ) -> None:
        """The axis below; `ticks` None chooses round ones, `grid` draws them through the panel."""
        base = self.height - self.bottom
        self._line("axis", (self.left, base), (self.x.end, base))
        for tick in self.x.ticks() if ticks is None else ticks:
            at = self.x(tick)
            if grid:
                self._line("grid", (at, self.top), (at, base))
            self._line("axis", (at, base), (at, base + 4))
            self._words("tick", (at, base + 17), "middle", text(tick))
        if label:
            self._words("label", ((self.left + self.x.end) / 2, base + 34), "middle", label)

    def y_axis(self, label: str, ticks: Sequence[float] | None = None, text: Callable[[float], str] = number) -> None:
        """The axis on the left, its ticks drawn through the panel."""
        for tick in self.y.ticks(5) if ticks is None else ticks:
            at = self.y(tick)
            self._line("grid", (self.left, at), (self.x.end, at))
            self._words("tick", (self.left - 8, at + 4), "end", text(tick))
        if label:
            self.add(
                '<text class="label" transform="translate(13 {y:.1f}) rotate(-90)" text-anchor="middle">{t}</text>',
                y=(self.y.start + self.y.end) / 2,
                t=label,
            )

    def path(self, points: Iterable[Point], css: str, colour: str | None = None, close: str = "") -> None:
        """A line through points in data coordinates; `close` is appended to the path as it stands."""
        steps = " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)
        if steps:
            self.add('<path class="{css}" d="M{d}{close}"{style}/>', css=css, d=steps, close=close, style=_own(colour))

    def band(self, x: tuple[float, float], y: tuple[float, float], css: str) -> None:
        """A filled rectangle in data coordinates."""
        a, b = sorted((self.x(x[0]), self.x(x[1])))
        c, d = sorted((self.y(y[0]), self.y(y[1])))
        self.add(
            '<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>',
            css=css,
            x=a,
            y=c,
            w=b - a,
            h=d - c,
        )

    def rule(self, css: str, x: float | None = None, y: float | None = None, over: float = 0.0) -> None:
        """A line across the panel at one x, which may reach `over` pixels above it, or at one y."""
        a, b = (self.x.start, self.x.end) if x is None else (self.x(x), self.x(x))
        c, d = (self.y.start, self.y.end) if y is None else (self.y(y), self.y(y))
        self._line(css, (a, c), (b, d - over))

    def text(self, at: Point, text: str, css: str = "note", anchor: str = "start", shift: Point = (0.0, 0.0)) -> None:
        """Words at a point in data coordinates, shifted by pixels."""
        self._words(css, (self.x(at[0]) + shift[0], self.y(at[1]) + shift[1]), anchor, text)

    def dot(
        self, at: Point, shape: str, tip: str, colour: str | None = None, whisker: tuple[float, float] | None = None
    ) -> None:
        """A mark that says `tip` when pointed at. `shape`: circle, diamond, or cross. `whisker`: a range in y."""
        x, y = self.x(at[0]), self.y(at[1])
        self.add('<g class="mark {shape}" data-tip="{tip}"{style}>', shape=shape, tip=tip, style=_own(colour))
        if whisker is not None:
            self._line("whisker", (x, self.y(whisker[0])), (x, self.y(whisker[1])))
        self.add('<circle class="halo" cx="{x:.1f}" cy="{y:.1f}" r="11"/>', x=x, y=y)
        if shape == "circle":
            self.add('<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>', x=x, y=y)
        elif shape == "diamond":
            self.add('<path d="M{x:.1f},{a:.1f} l6.5,6.5 -6.5,6.5 -6.5,-6.5z"/>', x=x, a=y - 6.5)
        else:
            self.add('<path d="M{a:.1f},{c:.1f} l8,8 M{a:.1f},{d:.1f} l8,-8"/>', a=x - 4, c=y - 4, d=y + 4)
        self.add("</g>")

    def render(self, title: str) -> Markup:
        """The finished panel."""
        head = Markup('<svg viewBox="0 0 {w:g} {h:g}" role="img" aria-label="{title}">').format(
            w=self.width, h=self.height, title=title
        )
        return head + Markup("").join(self._marks) + Markup("</svg>")

    def _line(self, css: str, start: Point, end: Point) -> None:
        self.add(
            '<line class="{css}" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>',
            css=css,
            a=start[0],
            b=start[1],
            c=end[0],
            d=end[1],
        )

    def _words(self, css: str, at: Point, anchor: str, text: str) -> None:
        self.add(
            '<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{t}</text>',
            css=css,
            x=at[0],
            y=at[1],
            anchor=anchor,
            t=text,
        )


def _own(colour: str | None) -> Markup:
    return Markup("") if colour is None else Markup(' style="--c:{}"').format(escape(colour))
