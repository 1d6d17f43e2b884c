"""What tells one Ocean Optics spectrometer from another on the wire; data sheets, numbers as in seabreeze 2.11."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

OUT, LOW_IN, HIGH_IN, HIGH_IN_2 = 0x01, 0x81, 0x82, 0x86
"""USB endpoints."""


@dataclass(frozen=True)
class OceanModel:
    """One family.

    ``protocol`` OOI is one opcode byte and its data, OBP a header of 44 bytes, data and a footer of 20. ``spectrum`` is
    the OBP message that asks for one; ``metadata_bytes`` come before its ``word_bytes`` per pixel. An OOI spectrum ends
    with a sync byte, and its first ``ahead_bytes`` come over the third IN endpoint.
    """

    name: str
    product_id: int
    protocol: Literal["OOI", "OBP"]
    pixels: int
    full_scale_counts: int
    shortest_us: int
    longest_us: int
    wavelength_polynomial_nm: tuple[float, ...]
    fpga_version: int = 0
    ahead_bytes: int = 0
    spectrum: int = 0
    metadata_bytes: int = 0
    word_bytes: int = 2


MODELS: Final[Mapping[str, OceanModel]] = MappingProxyType(
    {
        model.name: model
        for model in (
            # FPGA 1.7.0; a major version of 3 makes it a Flame-S.
            OceanModel(
                "USB2000PLUS", 0x101E, "OOI", 2048, 65535, 1000, 655_350_000,
                (339.6, 0.3827, -1.62e-5, -2.4e-10), fpga_version=0x1070,
            ),
            OceanModel(
                "FLAMES", 0x101E, "OOI", 2048, 65535, 1000, 655_350_000,
                (339.6, 0.3827, -1.62e-5, -2.4e-10), fpga_version=0x3000,
            ),
            # The Flame-T calls itself USB4000 too.
            OceanModel(
                "USB4000", 0x1022, "OOI", 3840, 65535, 10, 65_535_000,
                (344.2, 0.2176, -6.1e-6, -2.7e-10), fpga_version=0x1070, ahead_bytes=2048,
            ),
            OceanModel(
                "STS", 0x4000, "OBP", 1024, 16383, 10, 85_000_000,
                (336.8, 0.4682, -1.4e-5, -6.1e-9), spectrum=0x00101100,
            ),
            OceanModel(
                "QEPRO", 0x4004, "OBP", 1044, 262143, 8000, 1_600_000_000,
                (346.1, 0.6212, -1.2e-5, -3.2e-9), spectrum=0x00100928, metadata_bytes=32, word_bytes=4,
            ),
            OceanModel(
                "HDX", 0x2003, "OBP", 2068, 65535, 6000, 10_000_000,
                (343.0, 0.2781, -1.1e-5, -2.9e-10), spectrum=0x00101000,
            ),
        )
    }
)  # fmt: skip
