"""Ocean Optics spectrometers on the wire, for the true seabreeze and pyusb over a bus of :mod:`simulators.usb_bus`.

The opcodes are those of the USB2000+ and USB4000 data sheets, the messages those of the STS and QE Pro ones.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from drivers.transport import BlockingClock
from simulators import wire_ocean_obp as obp
from simulators.ocean_models import HIGH_IN, HIGH_IN_2, LOW_IN, MODELS
from simulators.plant import OpticsPlant
from simulators.usb_bus import UsbBus, register_usb, unregister_usb, usb_bus

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OceanTwin", "UsbBus", "register_usb", "unregister_usb", "usb_bus"]

_INITIALISE, _SET_INTEGRATION, _SET_LAMP, _READ_SLOT = 0x01, 0x02, 0x03, 0x05
_REQUEST_SPECTRUM, _SET_TRIGGER, _WRITE_REGISTER, _READ_REGISTER, _QUERY_STATUS = 0x09, 0x0A, 0x6A, 0x6B, 0xFE
_FPGA_VERSION_REGISTER: Final = 0x04
_SYNC_BYTE: Final = b"\x69"
_HIGH_SPEED: Final = 0x80
_SLOT_BYTES: Final = 15
_POWER_UP_US: Final = 100_000
_READOUT_S: Final = 0.005
"""Time from the end of an integration to the last byte; assumed."""
_HANG_S: Final = 60.0


class OceanTwin:
    """One spectrometer.

    The detector runs freely, so the first spectrum after a change of integration time or lamp is an old one: exposed
    as things were before. Counts are rounded and clipped to full scale here.

    Args:
        plant: what is in front of the slit.
        model: one of :data:`simulators.ocean_models.MODELS`.
        serial_number: up to 14 ASCII characters.
        wavelength_polynomial_nm: c0 to c3 of wavelength = sum(c[i] pixel^i), or None for the model's; an EEPROM keeps
            eight digits of each, an OBP device single precision.
        pixels: detector pixels, or None for the model's.
        saturation_counts: EEPROM slot 17 of an OOI device; seabreeze rescales counts by 65535 over this.
        nonlinearity: polynomial of slots 6 to 13.
        lamp_high_is_on: whether the lamp, or its shutter, lets light through while the lamp line is high.
    """

    def __init__(
        self,
        plant: OpticsPlant,
        *,
        model: str = "USB2000PLUS",
        serial_number: str = "USB2+H00001",
        wavelength_polynomial_nm: Sequence[float] | None = None,
        pixels: int | None = None,
        saturation_counts: int = 65535,
        nonlinearity: Sequence[float] = (1.0, 0.0),
        lamp_high_is_on: bool = True,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"no model named {model!r}; known: {', '.join(MODELS)}")
        self.model = MODELS[model]
        if not serial_number.isascii() or not 0 < len(serial_number) < _SLOT_BYTES:
            raise ValueError(f"a serial number has 1 to 14 ASCII characters, not {serial_number!r}")
        if pixels not in (None, self.model.pixels):
            raise ValueError(f"a {model} has {self.model.pixels} pixels, not {pixels}")
        if not 1 <= saturation_counts <= 65535:
            raise ValueError(f"saturation is 1 to 65535 counts, not {saturation_counts}")
        polynomial = wavelength_polynomial_nm or self.model.wavelength_polynomial_nm
        if not 1 <= len(polynomial) <= 4 or not 1 <= len(nonlinearity) <= 8:
            raise ValueError("four wavelength and eight non-linearity coefficients at most")
        self._plant = plant
        self.serial_number = serial_number
        self._saturation = saturation_counts if self.model.protocol == "OOI" else self.model.full_scale_counts
        self._lamp_high_is_on = lamp_high_is_on
        coefficients = [*polynomial, *([0.0] * (4 - len(polynomial)))]
        self._nonlinearity = tuple(nonlinearity)
        self._slots = {0: serial_number}
        self._slots.update({1 + i: f"{value:.7e}" for i, value in enumerate(coefficients)})
        self._slots.update({6 + i: f"{value:.7e}" for i, value in enumerate(nonlinearity)})
        self._slots[14] = str(len(nonlinearity) - 1)
        self._coefficients = [
            float(self._slots[1 + i]) if self.model.protocol == "OOI" else float(np.float32(value))
            for i, value in enumerate(coefficients)
        ]
        self._integration_us = max(_POWER_UP_US, self.model.shortest_us)
        self._lamp = not lamp_high_is_on
        self._shown: tuple[int, bool] = (self._integration_us, self._lamp)
        self._spectra = 0
        self._requested = False
        self._answers: deque[bytes] = deque()
        self._spectrum = b""
        self.plugged = True
        self.hung = False

    @property
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """What the calibration in the device gives each pixel, shape (pixels,)."""
        pixel = np.arange(self.model.pixels, dtype=np.float64)
        c0, c1, c2, c3 = self._coefficients
        return np.asarray(c0 + pixel * (c1 + pixel * (c2 + pixel * c3)), dtype=np.float64)

    def unplug(self) -> None:
        """Pull the cable: every transfer fails with errno 19, and what was waiting is lost."""
        self.plugged = False
        self.reset()

    def plug(self) -> None:
        """Put the cable back: a spectrometer fresh from power-up, lamp line low."""
        self.plugged = True
        self._integration_us = max(_POWER_UP_US, self.model.shortest_us)
        self._lamp = not self._lamp_high_is_on
        self._shown = (self._integration_us, self._lamp)

    def hang(self, hung: bool = True) -> None:
        """Answer nothing, without USB noticing; the host's own deadline is what ends it."""
        self.hung = hung

    def reset(self) -> None:
        """Empty the endpoints."""
        self._answers.clear()
        self._requested = False
        self._spectrum = b""

    def write(self, t_s: float, data: bytes) -> None:
        """A command on the OUT endpoint. What the spectrometer does not know it ignores."""
        if self.model.protocol == "OBP":
            self._take_message(t_s, data)
        else:
            self._take_opcode(t_s, data)

    def read(self, clock: BlockingClock, endpoint: int, length: int, timeout_s: float) -> bytes | None:
        """Bytes of an IN endpoint, blocking on ``clock``; None when the time-out passed with nothing to send."""
        if self.hung:
            clock.sleep(timeout_s + _HANG_S)
            return None
        if endpoint == LOW_IN and self._answers:
            answer = self._answers.popleft()
            if self.model.protocol == "OBP" and len(answer) > length:
                self._answers.appendleft(answer[length:])
            return answer[:length]
        if self._requested and endpoint == self._first_endpoint:
            spectrum = self._expose(clock, timeout_s)
            if spectrum is None:
                return None
            if self.model.protocol == "OBP":
                self._answers.append(obp.response(self.model.spectrum, spectrum))
                return self.read(clock, endpoint, length, timeout_s)
            self._spectrum = spectrum
        if self._spectrum and endpoint == self._next_endpoint:
            if self._ahead:
                length = min(length, self.model.ahead_bytes)
            sent, self._spectrum = self._spectrum[:length], self._spectrum[length:]
            return sent
        clock.sleep(timeout_s)
        return None

    @property
    def _first_endpoint(self) -> int:
        """Where the host waits for a spectrum that is not exposed yet."""
        if self.model.protocol == "OBP":
            return LOW_IN
        return HIGH_IN_2 if self.model.ahead_bytes else HIGH_IN

    @property
    def _ahead(self) -> bool:
        """Whether the part of an OOI spectrum that goes over the third IN endpoint has yet to be sent."""
        whole = self.model.pixels * self.model.word_bytes + len(_SYNC_BYTE)
        return self.model.ahead_bytes > 0 and len(self._spectrum) == whole

    @property
    def _next_endpoint(self) -> int:
        return HIGH_IN_2 if self._ahead else HIGH_IN

    def _expose(self, clock: BlockingClock, timeout_s: float) -> bytes | None:
        """The spectrum in progress, or the next; the one in progress still shows the old settings."""
        duration_us, lamp = self._shown
        duration_s = duration_us / 1e6
        if duration_s + _READOUT_S > timeout_s:
            clock.sleep(timeout_s)
            return None
        begin_s = clock.now()
        stale_lamp = lamp != self._lamp
        if stale_lamp:
            self._plant.lamp(begin_s, lamp)
        clock.sleep(duration_s)
        if not self.plugged or self.hung:
            return None
        counts = self._plant.expose(begin_s, duration_s)
        if stale_lamp:
            self._plant.lamp(clock.now(), self._lamp)
        self._shown = (self._integration_us, self._lamp)
        self._requested = False
        clock.sleep(_READOUT_S)
        if counts.shape != (self.model.pixels,):
            raise ValueError(f"the plant exposed {counts.shape}, the detector has {self.model.pixels} pixels")
        self._spectra += 1
        scaled = np.rint(counts * (self._saturation / self.model.full_scale_counts))
        raw = np.clip(scaled, 0, self._saturation).astype(f"<u{self.model.word_bytes}").tobytes()
        if self.model.protocol == "OOI":
            return raw + _SYNC_BYTE
        # Order of the metadata assumed: number, time in µs, integration in µs; seabreeze skips it.
        return (
            struct.pack("<IQI16x", self._spectra, round(begin_s * 1e6), duration_us)[: self.model.metadata_bytes] + raw
        )

    def _set_integration(self, duration_us: int) -> bool:
        if not self.model.shortest_us <= duration_us <= self.model.longest_us:
            return False
        self._integration_us = duration_us
        return True

    def _set_lamp_line(self, t_s: float, high: bool) -> None:
        self._lamp = high == self._lamp_high_is_on
        self._plant.lamp(t_s, self._lamp)

    def _take_opcode(self, t_s: float, data: bytes) -> None:
        opcode = data[0] if data else 0
        if opcode == _INITIALISE:
            self.reset()
        elif opcode == _SET_INTEGRATION and len(data) >= 5:
            self._set_integration(int(struct.unpack_from("<I", data, 1)[0]))
        elif opcode == _SET_LAMP and len(data) >= 3:
            self._set_lamp_line(t_s, struct.unpack_from("<H", data, 1)[0] != 0)
        elif opcode == _READ_SLOT and len(data) >= 2:
            self._answers.append(bytes((_READ_SLOT, data[1])) + self._slot(data[1]))
        elif opcode == _REQUEST_SPECTRUM:
            self._requested = True
        elif opcode == _READ_REGISTER and len(data) >= 2:
            value = self.model.fpga_version if data[1] == _FPGA_VERSION_REGISTER else 0
            self._answers.append(struct.pack("<BH", _FPGA_VERSION_REGISTER, value))
        elif opcode == _QUERY_STATUS:
            status = (int(self._lamp == self._lamp_high_is_on), 0, 0, 9, 0, 0, 0, 0, _HIGH_SPEED, 0)
            self._answers.append(struct.pack("<HI10B", self.model.pixels, self._integration_us, *status))

    def _take_message(self, t_s: float, packet: bytes) -> None:
        request = obp.parse_request(packet)
        if request is None:
            return
        answer = self._obeyed(t_s, request)
        if isinstance(answer, bytes):
            self._answers.append(obp.response(request.kind, answer))
        elif answer is not None:
            self._answers.append(obp.refusal(request.kind, answer))
        elif request.wants_ack:
            self._answers.append(obp.acknowledgement(request.kind))

    def _obeyed(self, t_s: float, request: obp.ObpRequest) -> bytes | int | None:
        """Data of the answer, the number of an error, or None for a command that was carried out."""
        kind, data = request.kind, request.data
        if kind == self.model.spectrum:
            self._requested = True
            return None
        tables = {
            obp.GET_WAVELENGTH: self._coefficients,
            obp.GET_NONLINEARITY: self._nonlinearity,
        }
        if kind in tables:
            if len(data) != 1:
                return obp.WRONG_LENGTH
            table = tables[kind]
            return struct.pack("<f", table[data[0]]) if data[0] < len(table) else obp.INVALID_DATA
        questions = {
            obp.GET_SERIAL: self.serial_number.encode("ascii"),
            obp.GET_SERIAL_LENGTH: bytes((len(self.serial_number),)),
            obp.GET_WAVELENGTH_COUNT: bytes((len(self._coefficients),)),
            obp.GET_NONLINEARITY_COUNT: bytes((len(self._nonlinearity),)),
        }
        if kind in questions:
            return questions[kind]
        if kind == obp.SET_INTEGRATION:
            if len(data) != 4:
                return obp.WRONG_LENGTH
            return None if self._set_integration(int.from_bytes(data, "little")) else obp.INVALID_DATA
        if kind in {obp.SET_LAMP, obp.SET_TRIGGER}:
            if len(data) != 1:
                return obp.WRONG_LENGTH
            if kind == obp.SET_LAMP:
                self._set_lamp_line(t_s, data[0] != 0)
            return None
        return obp.UNKNOWN_TYPE

    def _slot(self, number: int) -> bytes:
        if number == 17:
            return struct.pack("<4xH9x", self._saturation)
        return self._slots.get(number, "").encode("ascii")[: _SLOT_BYTES - 1].ljust(_SLOT_BYTES, b"\0")
