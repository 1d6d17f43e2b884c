"""Registers of Modbus twins whose values are pairs: an IEEE single, or a whole number with a second word of 0."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping

from simulators.wire_modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusRefusal

ReadFloat = Callable[[float], float]
"""Takes the time in s."""
ReadInteger = Callable[[float], int]
WriteFloat = Callable[[float, float], None]
"""Takes the time in s and the value; raises :class:`ModbusRefusal`."""
WriteInteger = Callable[[float, int], None]


def read_pairs(
    t_s: float,
    address: int,
    count: int,
    floats: Mapping[int, ReadFloat],
    integers: Mapping[int, ReadInteger],
    *,
    low_word_first: bool,
) -> list[int]:
    """``count`` registers from ``address``; a block may span neighbouring values, but no gap in the map."""
    words: list[int] = []
    for register in range(address, address + count):
        base = register if register in floats or register in integers else register - 1
        if base in floats:
            words.append(float_words(floats[base](t_s), low_word_first=low_word_first)[register - base])
        elif base in integers:
            words.append(integers[base](t_s) if register == base else 0)
        else:
            raise ModbusRefusal(ILLEGAL_ADDRESS)
    return words


def write_pairs(
    t_s: float,
    address: int,
    words: list[int],
    floats: Mapping[int, WriteFloat],
    integers: Mapping[int, WriteInteger],
    *,
    low_word_first: bool,
) -> None:
    """Write one value: a float as its two words together, a whole number as one word or with a second of 0."""
    if address in floats and len(words) == 2:
        high, low = reversed(words) if low_word_first else words
        value = float(struct.unpack(">f", struct.pack(">2H", high, low))[0])
        if not math.isfinite(value):
            raise ModbusRefusal(ILLEGAL_VALUE)
        floats[address](t_s, value)
    elif address in integers and (len(words) == 1 or words[1:] == [0]):
        integers[address](t_s, words[0])
    else:
        raise ModbusRefusal(ILLEGAL_ADDRESS)


def float_words(value: float, *, low_word_first: bool) -> list[int]:
    """An IEEE single as two registers."""
    words = list(struct.unpack(">2H", struct.pack(">f", value)))
    return words[::-1] if low_word_first else words
