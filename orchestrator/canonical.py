"""Canonical JSON: one text for one value, so that texts can be hashed and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

JSON = Any

_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_CONTAINERS: Final = (dict, list, tuple)


def canonical(value: JSON) -> str:
    """The one text of a value: keys sorted, no spaces, floats by their shortest round-trip form.

    Raises ValueError for what JSON cannot say without loss: NaN, infinity, keys that are not strings, cycles, lone
    surrogates, and any other kind of object.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not canonical JSON: {error}") from error
    if isinstance(value, _CONTAINERS) and _has_foreign_keys(value):
        raise ValueError("not canonical JSON: a key is not a string")
    return text


def parse(text: str) -> JSON:
    """The value of a canonical text. Raises ValueError for NaN, infinity, and text that is not JSON."""
    return json.loads(text, parse_constant=_refuse_constant)


def first_difference(
    expected: JSON,
    got: JSON,
    path: str = "",
    ignore: Callable[[str], bool] = lambda key: False,
    alike: Callable[[str, JSON, JSON], bool] = lambda path, expected, got: False,
) -> tuple[str, JSON, JSON] | None:
    """Where two JSON values first differ: (path, expected there, got there), or None.

    A missing part is the text "absent". `ignore` names keys whose values may differ; `alike` is asked of single
    values that do, with their path.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key in sorted({*expected, *got}):
            if ignore(key):
                continue
            inner = f"{path}.{key}" if path else key
            difference = first_difference(expected.get(key, "absent"), got.get(key, "absent"), inner, ignore, alike)
            if difference is not None:
                return difference
        return None
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        for index, (left, right) in enumerate(zip(expected, got, strict=False)):
            difference = first_difference(left, right, f"{path}[{index}]", ignore, alike)
            if difference is not None:
                return difference
        if len(expected) == len(got):
            return None
        index = min(len(expected), len(got))
        absent = "absent"
        return (
            f"{path}[{index}]",
            expected[index] if index < len(expected) else absent,
            got[index] if index < len(got) else absent,
        )
    if type(expected) is type(got) and repr(expected) == repr(got):  # 1 is not 1.0 nor True, 0.0 is not -0.0
        return None
    if alike(path, expected, got):
        return None
    return path, expected, got


def _has_foreign_keys(value: dict[JSON, JSON] | list[JSON] | tuple[JSON, ...]) -> bool:
    """json.dumps turns numbers and None into keys silently; two different values would then have one text."""
    waiting: list[JSON] = [value]
    while waiting:
        container = waiting.pop()
        items = container
        if isinstance(container, dict):
            for key in container:
                if not isinstance(key, str):
                    return True
            items = container.values()
        waiting += [item for item in items if isinstance(item, _CONTAINERS)]
    return False


def _refuse_constant(name: str) -> JSON:
    raise ValueError(f"{name} is not JSON")
