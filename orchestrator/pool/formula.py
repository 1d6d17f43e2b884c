"""Formulas of one number x, as a pool file writes them: arithmetic, logarithms, nothing that could do harm."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

Formula = Callable[[float], float]

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_FUNCTIONS: Mapping[str, Formula] = {"log": math.log, "log10": math.log10, "exp": math.exp, "sqrt": math.sqrt}


class FormulaError(ValueError):
    """A formula that cannot be read, or that has no value at some x."""


def parse_formula(text: str) -> Formula:
    """The function that a formula says. It raises FormulaError where it has no finite value.

    Raises:
        FormulaError: text that is no formula of x.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError("not a formula of x") from None
    compiled = _compile(tree)

    def value(x: float) -> float:
        try:
            result = compiled(x)
        except (ArithmeticError, ValueError):
            result = math.nan
        if not math.isfinite(result):
            raise FormulaError(f"{text.strip()} has no value at x = {x:g}")
        return result

    return value


def _compile(node: ast.expr) -> Formula:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        number = float(node.value)
        return lambda x: number
    if isinstance(node, ast.Name) and node.id == "x":
        return lambda x: x
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner, sign = _compile(node.operand), -1.0 if isinstance(node.op, ast.USub) else 1.0
        return lambda x: sign * inner(x)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right, apply = _compile(node.left), _compile(node.right), _BINARY[type(node.op)]
        return lambda x: apply(left(x), right(x))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        function = _FUNCTIONS.get(node.func.id)
        if function is not None:
            known, argument = function, _compile(node.args[0])
            return lambda x: known(argument(x))
    raise FormulaError(f"{ast.unparse(node)!r} does not belong into a formula of x")
