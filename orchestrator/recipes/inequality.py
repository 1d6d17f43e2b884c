"""Inequalities between quantities with units, as campaign files write them: ``residence_time * total_flow <= 2 ml``.

Python's own parser reads them, once every number with a unit has been replaced by a name; only arithmetic, comparisons
and a few functions are let through, and nothing is ever executed. Every part has a dimension, so that minutes are not
held against millilitres. Inside, values are coherent (see `orchestrator.recipes.dimensions`).
"""

from __future__ import annotations

import ast
import keyword
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator.recipes.dimensions import DIFFERENCE, NUMBER, TEMPERATURE, Dimension, coherent, spellings
from orchestrator.units import respellings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SLACK = 1e-9
"""Relative width by which an inequality is met when both sides are equal but for rounding."""
KELVIN_AT_0_C = 273.15
MOST = 1e300
"""The largest number that may be written."""
ALLOWED = "numbers with units, names, + - * / ** ( ), abs, sqrt, log, log10, exp, and <= or >= between two sides"
PLACEHOLDERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

Values = Mapping[str, Any]
"""Reference to its value in coherent units: a number, or an array of them."""
Evaluate = Callable[[Values, Any], Any]


class InequalityError(ValueError):
    """Text that is no inequality between quantities that fit. ``at``: the character that it is about, from 0."""

    def __init__(self, message: str, at: int, *, allowed: str = "", suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.allowed = allowed
        self.suggestion = suggestion


@dataclass(frozen=True)
class Side:
    """One side of an inequality: its dimension and how it is computed. ``constant``: its value if no name is in it."""

    dimension: Dimension
    evaluate: Evaluate
    constant: float | None = None


@dataclass(frozen=True)
class Broken:
    """That an inequality does not hold, in words, and the side that should have been the lower one and the other."""

    reason: str
    lower: float
    upper: float


@dataclass(frozen=True)
class Inequality:
    """What must hold of every recipe. ``names``: the references in it; ``pairs``: (lower, upper) sides."""

    text: str
    names: frozenset[str]
    pairs: tuple[tuple[Side, Side], ...]

    def broken(self, values: Mapping[str, float]) -> Broken | None:
        """How these values (coherent) do not meet it; None where they do. Reckoned as `met` reckons, so that no planner
        proposes what would not be dosed."""
        import numpy as np

        numbers = {name: np.float64(value) for name, value in values.items()}
        with np.errstate(all="ignore"):
            for lower, upper in self.pairs:
                left, right = float(lower.evaluate(numbers, np)), float(upper.evaluate(numbers, np))
                if not (math.isfinite(left) and math.isfinite(right)):
                    return Broken(f"{self.text} has no value here", math.inf, math.inf)
                if not left - right <= SLACK * max(abs(left), abs(right)) + 1e-12:
                    shown = lower.dimension.shown(left), upper.dimension.shown(right)
                    return Broken(f"{self.text} does not hold: {shown[0]} is above {shown[1]}", left, right)
        return None

    def met(self, values: Mapping[str, Rows], count: int) -> Mask:
        """Which of ``count`` rows meet it: [count]. A row in which a side has no finite value does not; within a side
        what is divided by zero is infinite, as in ``exp(-1 / 0)``, which is zero."""
        import numpy as np

        result = np.ones(count, dtype=np.bool_)
        with np.errstate(all="ignore"):
            for lower, upper in self.pairs:
                left, right = (np.broadcast_to(side.evaluate(values, np), (count,)) for side in (lower, upper))
                result &= np.isfinite(left) & np.isfinite(right)
                result &= left - right <= SLACK * np.maximum(np.abs(left), np.abs(right)) + 1e-12
        return result


class _Scalars:
    """The functions of numpy that formulas use, for constants. They raise where there is no value."""

    abs = staticmethod(abs)
    sqrt = staticmethod(math.sqrt)
    log = staticmethod(math.log)
    log10 = staticmethod(math.log10)
    exp = staticmethod(math.exp)
    power = staticmethod(math.pow)


_FUNCTIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "abs": lambda maths, x: maths.abs(x),
    "sqrt": lambda maths, x: maths.sqrt(x),
    "log": lambda maths, x: maths.log(x),
    "log10": lambda maths, x: maths.log10(x),
    "exp": lambda maths, x: maths.exp(x),
}


def parse_inequality(text: str, known: Mapping[str, Dimension]) -> Inequality:
    """Read an inequality. ``known``: every reference that may occur, such as ``residence_time`` or ``flow(pump)``.

    Raises:
        InequalityError: text that is none, an unknown name or unit, or sides and terms that do not fit.
    """
    return _Parser(text, known).inequality()


@cache
def _tokens() -> re.Pattern[str]:
    """Quantities, names and what else may stand for something in an inequality."""
    unit = "|".join(re.escape(spelling) for spelling in sorted(spellings(), key=len, reverse=True))
    number = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?+"  # an exponent, once read, is no beginning of a unit
    composed = rf"({unit})([/*]({unit}))*"
    quantity = rf"(?P<quantity>(?<![\w.])(?P<number>{number})\s*(?P<unit>{composed})(?!\w))"
    bad = rf"(?P<bad>(?<![\w.]){number}\s*[^\W\d_][\w/°]*)"
    return re.compile(rf"{quantity}|{bad}|(?P<bare>(?<![\w.]){number})|(?P<name>[A-Za-z][\w-]*)")


class _Parser:
    def __init__(self, text: str, known: Mapping[str, Dimension]) -> None:
        self._text = text
        self._known = known
        self._words = {word for name in known for word in re.split(r"[()]", name) if word}
        self._stand_ins: dict[str, tuple[Side | None, str]] = {}
        self._used: set[str] = set()

    def inequality(self) -> Inequality:
        source = self._masked(self._text.replace("≤", "<").replace("≥", ">"))
        if re.search(r"(?<![<>=!])=|==|!=", source):
            message = "an equality leaves nothing to search: put the quantity into fixed, or take one input away"
            raise InequalityError(message, source.find("="), allowed="<=, >=")
        if "^" in source:
            raise InequalityError("a power is written **", source.find("^"), allowed=ALLOWED)
        try:
            tree = ast.parse(f"({source})", mode="eval").body
        except SyntaxError as error:
            at = min(max((error.offset or 2) - 2, 0), max(len(self._text) - 1, 0))
            raise InequalityError("this is no inequality", at, allowed=ALLOWED) from None
        except (ValueError, RecursionError, MemoryError):
            raise InequalityError("this is no inequality", 0, allowed=ALLOWED) from None
        if not isinstance(tree, ast.Compare):
            raise InequalityError("two sides and a <= or >= between them are wanted here", 0, allowed=ALLOWED)
        sides = [self._side(node) for node in (tree.left, *tree.comparators)]
        pairs = []
        for index, operator in enumerate(tree.ops):
            left, right = sides[index : index + 2]
            self._comparable(left, right, tree.comparators[index])
            if isinstance(operator, (ast.Lt, ast.LtE)):
                pairs.append((left, right))
            elif isinstance(operator, (ast.Gt, ast.GtE)):
                pairs.append((right, left))
            else:
                raise InequalityError("this is no inequality", 0, allowed=ALLOWED)
        if not self._used:
            raise InequalityError("no name stands in it", 0, allowed=", ".join(self._known))
        return Inequality(self._text, frozenset(self._used), tuple(pairs))

    def _masked(self, text: str) -> str:
        """The text with quantities, and names that are none in Python, replaced by stand-ins of the same width."""
        pattern, result, at = _tokens(), "", 0
        while (match := pattern.search(text, at)) is not None:
            result += text[at : match.start()]
            at = match.end()
            if match["bad"] is not None:
                raise self._bad_unit(match["bad"], match.start())
            if match["bare"] is not None:
                _within(float(match["bare"]), match.start())
                result += match["bare"]
                continue
            if match["quantity"] is not None:
                value, dimension = coherent(match["number"], match["unit"])
                _within(value, match.start())
                result += self._stand_in(match["quantity"], _constant(value, dimension), match.start())
                continue
            name = match["name"]
            while "-" in name and name not in self._words:
                name = name.rpartition("-")[0]
            at = match.start() + len(name)
            plain = "-" not in name and not (keyword.iskeyword(name) and name in self._words)
            result += name if plain else self._stand_in(name, None, match.start())
        return result + text[at:]

    def _stand_in(self, text: str, side: Side | None, at: int) -> str:
        if len(self._stand_ins) == len(PLACEHOLDERS):
            raise InequalityError("too long", at)
        name = f"_{PLACEHOLDERS[len(self._stand_ins)]}"
        self._stand_ins[name] = (side, text)
        return name.ljust(len(text))

    def _bad_unit(self, text: str, at: int) -> InequalityError:
        number = re.match(r"[0-9.]+([eE][-+]?[0-9]+)?", text)
        unit, table = text[number.end() if number else 0 :].strip(), spellings()
        meant = respellings(unit, table) if unit else ()
        near = meant[0] if len({table[spelling] for spelling in meant}) == 1 else ""
        message = f"{unit!r} is no unit that an inequality knows"
        suggestion = f"{text[: len(text) - len(unit)]}{near}" if near else ""
        return InequalityError(message, at, allowed="s, min, h, µl, ml, µl/min, degC, K, mM, %", suggestion=suggestion)

    def _at(self, node: ast.expr) -> int:
        return max(node.col_offset - 1, 0)

    def _comparable(self, left: Side, right: Side, node: ast.expr) -> None:
        if left.dimension == right.dimension or any(
            side.constant == 0.0 and side.dimension == NUMBER and not other.dimension.absolute
            for side, other in ((left, right), (right, left))
        ):
            return
        suggestion = allowed = ""
        for side, other in ((left, right), (right, left)):
            if side.dimension == DIFFERENCE and side.constant is not None and other.dimension == TEMPERATURE:
                # K may mean a point above absolute zero or a difference from another one: its writer must say which.
                suggestion = f"{side.constant - KELVIN_AT_0_C:.10g} degC"
                allowed = "a temperature in degC, or a difference held against K as in temperature - 20 degC <= 5 K"
            if side.dimension == NUMBER and side.constant is not None and other.dimension.unit:
                suggestion = f"{side.constant:g} {other.dimension.unit}"
        message = f"{left.dimension.words} cannot be held against {right.dimension.words}"
        raise InequalityError(message, self._at(node), allowed=allowed, suggestion=suggestion)

    def _side(self, node: ast.expr) -> Side:
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)) or abs(node.value) > MOST:
                raise InequalityError("this is no number", self._at(node), allowed=ALLOWED)
            return _constant(float(node.value), NUMBER)
        if isinstance(node, ast.Name):
            side, word = self._stand_ins.get(node.id, (None, node.id))
            return side or self._reference(word, node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            return self._signed(node, -1.0 if isinstance(node.op, ast.USub) else 1.0)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
            return self._call(node, node.func.id, node.args[0])
        raise InequalityError("this does not belong into an inequality", self._at(node), allowed=ALLOWED)

    def _signed(self, node: ast.UnaryOp, sign: float) -> Side:
        """A side with a sign before it. Of temperatures only a written one has one, as in ``-5 degC``."""
        written = isinstance(node.operand, ast.Name) and self._stand_ins.get(node.operand.id, (None, ""))[0] is not None
        inner = self._side(node.operand) if written else self._relative(node.operand)
        return self._computed(node, inner.dimension, lambda values, maths: sign * inner.evaluate(values, maths), inner)

    def _reference(self, name: str, node: ast.expr) -> Side:
        if name not in self._known:
            from orchestrator.config.messages import closest

            plain = [other for other in self._known if "(" not in other]
            choices: Collection[str] = self._known if "(" in name else plain
            allowed = ", ".join(choices) if "(" in name else f"{', '.join(plain)}, flow(PUMP), concentration(SPECIES)"
            raise InequalityError(
                f"there is no {name!r} here", self._at(node), allowed=allowed, suggestion=closest(name, choices)
            )
        self._used.add(name)
        return Side(self._known[name], lambda values, maths: values[name])

    def _relative(self, node: ast.expr) -> Side:
        """A side whose zero means something."""
        side = self._side(node)
        if side.dimension.absolute:
            message = "a temperature in degC has no zero to count from: subtract another one first"
            raise InequalityError(message, self._at(node), allowed="for example (temperature - 20 degC)")
        return side

    def _call(self, node: ast.Call, function: str, argument: ast.expr) -> Side:
        apply = _FUNCTIONS.get(function)
        if apply is None:
            inner = argument.id if isinstance(argument, ast.Name) else ""
            word = self._stand_ins.get(inner, (None, inner))[1]
            return self._reference(f"{function}({word})", node)
        side = self._relative(argument)
        dimension = NUMBER.times(side.dimension, 0.5 if function == "sqrt" else 1.0)
        if function not in ("abs", "sqrt") and side.dimension != NUMBER:
            message = f"{function} is of pure numbers, and this is {side.dimension.words}: divide it by one like it"
            raise InequalityError(message, self._at(argument))
        known = apply
        return self._computed(node, dimension, lambda values, maths: known(maths, side.evaluate(values, maths)), side)

    def _binary(self, node: ast.BinOp) -> Side:
        if isinstance(node.op, (ast.Add, ast.Sub)):
            return self._sum(node, isinstance(node.op, ast.Sub))
        left, right = self._relative(node.left), self._relative(node.right)
        if isinstance(node.op, ast.Mult):
            dimension = left.dimension.times(right.dimension)
            return self._computed(
                node, dimension, lambda values, m: left.evaluate(values, m) * right.evaluate(values, m), left, right
            )
        if isinstance(node.op, ast.Div):
            if right.constant == 0.0:
                raise InequalityError("this is zero, and nothing can be divided by it", self._at(node.right))
            dimension = left.dimension.times(right.dimension, -1.0)
            return self._computed(
                node, dimension, lambda values, m: left.evaluate(values, m) / right.evaluate(values, m), left, right
            )
        if isinstance(node.op, ast.Pow):
            if right.constant is None or right.dimension != NUMBER or abs(right.constant) > 9:
                raise InequalityError("the power must be a number from -9 to 9", self._at(node.right))
            exponent = right.constant
            dimension = NUMBER.times(left.dimension, exponent)
            return self._computed(node, dimension, lambda values, m: m.power(left.evaluate(values, m), exponent), left)
        raise InequalityError("this does not belong into an inequality", self._at(node), allowed=ALLOWED)

    def _sum(self, node: ast.BinOp, minus: bool) -> Side:
        left, right = self._side(node.left), self._side(node.right)
        one, other = left.dimension, right.dimension
        if one.exponents != other.exponents:
            suggestion = f"{right.constant:g} {one.unit}" if other == NUMBER and right.constant is not None else ""
            words = "taken from" if minus else "added to"
            first, second = (other, one)
            message = f"{first.words} cannot be {words} {second.words}"
            raise InequalityError(message, self._at(node.right), suggestion=suggestion)
        if other.absolute and not (minus and one.absolute):
            message = "two temperatures in degC cannot be added; a difference is written in K"
            raise InequalityError(message, self._at(node.right))
        dimension = Dimension(one.exponents, absolute=one.absolute and not other.absolute)
        sign = -1.0 if minus else 1.0
        return self._computed(
            node, dimension, lambda values, m: left.evaluate(values, m) + sign * right.evaluate(values, m), left, right
        )

    def _computed(self, node: ast.expr, dimension: Dimension, evaluate: Evaluate, *parts: Side) -> Side:
        """A side of parts; where they all are constants it is one too, and must have a value."""
        if any(part.constant is None for part in parts):
            return Side(dimension, evaluate)
        try:
            constant = float(evaluate({}, _Scalars))
        except (ArithmeticError, ValueError):
            constant = math.nan
        if not math.isfinite(constant):
            raise InequalityError("this has no value that is a number", self._at(node))
        return _constant(constant, dimension)


def _within(value: float, at: int) -> None:
    """Raises InequalityError for a number that cannot be reckoned with."""
    if abs(value) > MOST:
        raise InequalityError("this number is too large", at, allowed=f"numbers up to {MOST:g}")


def _constant(value: float, dimension: Dimension) -> Side:
    return Side(dimension, lambda values, maths: value, value)
