"""Spectra out of exported files: dialects of delimited text, and JCAMP-DX by the standard's own examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import DriverError, ProtocolError
from drivers.jcamp import _ordinates, parse_jcamp
from drivers.spectrum_files import parse_delimited, parse_spectrum
from simulators.wire_folder import Dialect, FolderTwin, squeeze
from tests.contract.plants import LampAndPeak

ROWS = [(400.0 + 0.5 * i, 10.0 + i) for i in range(12)]


def table(separator: str, decimal: str = ".", head: str = "", foot: str = "") -> str:
    lines = [f"{x:.2f}{separator}{y:.1f}".replace(".", decimal) for x, y in ROWS]
    return head + "\n".join(lines) + "\n" + foot


# ---- delimited text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("separator", "decimal"),
    [*((separator, ".") for separator in (",", ", ", ";", "\t", " ", "   ")), (";", ","), ("\t", ","), (" ", ",")],
)
def test_every_common_dialect_gives_the_same_spectrum(separator: str, decimal: str) -> None:
    x, y = parse_delimited(table(separator, decimal))
    assert list(zip(x, y, strict=True)) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_headers_footers_encodings_and_line_ends_do_not_matter(encoding: str, newline: str) -> None:
    head = "Spektrometer: Ü-1\nTemperatur: 21,5 °C\n2048, 1\nwavelength\tcounts\n"
    text = table("\t", head=head, foot="[EndOfFile]\n").replace("\n", newline)
    spectrum = parse_spectrum(text.encode(encoding))
    assert spectrum.wavelengths_nm.tolist() == [x for x, _ in ROWS]
    assert spectrum.intensities.tolist() == [y for _, y in ROWS]


def test_further_columns_are_left_alone_and_falling_wavelengths_are_turned_round() -> None:
    text = "\n".join(f"{x};{y};0;good;" for x, y in reversed(ROWS))
    spectrum = parse_spectrum(text.encode())
    assert spectrum.wavelengths_nm[0] == 400.0
    assert spectrum.intensities[0] == 10.0


def test_a_tie_between_decimal_signs_needs_no_decision() -> None:
    x, _ = parse_delimited("\n".join(f"{400 + i};{i}" for i in range(10)))
    assert x == [400.0 + i for i in range(10)]


@pytest.mark.parametrize("damaged", range(len(ROWS)))
def test_a_damaged_line_never_shortens_a_spectrum_in_silence(damaged: int) -> None:
    rows = [(400.0 + 0.5 * i, 10.0 + i) for i in range(40)]
    for at in (damaged, 39 - damaged):
        lines = [f"{x:.2f},{y:.1f}" for x, y in rows]
        lines[at] = lines[at].replace(".", "#", 1)
        try:
            x, _ = parse_delimited("\n".join(lines))
        except ProtocolError:
            continue
        assert at in {0, 39}, "only at the very edge can a damaged line look like a header"
        assert len(x) == 39


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no numbers at all",
        "400,1\n401,2\n",
        table(",") + "\n" + table(","),
        "\n".join(f"400,{i}" for i in range(20)),
        "\n".join(f"{400 + i},1e999" for i in range(20)),
        "\n".join(f"{i - 5},1" for i in range(20)),
        "PK\0\3" + table(","),
    ],
)
def test_what_is_no_spectrum_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_spectrum(text.encode())


# ---- JCAMP-DX --------------------------------------------------------------------------------------------------------

HEAD = "##TITLE= test\n##JCAMP-DX= 4.24\n##DATA TYPE= UV/VIS SPECTRUM\n##XUNITS= NANOMETERS\n##YUNITS= COUNTS\n"


def jcamp(table_text: str, points: int = 10, first: float = 400.0, last: float = 409.0, extra: str = "") -> str:
    return (
        f"{HEAD}##NPOINTS= {points}\n##FIRSTX= {first}\n##LASTX= {last}\n##XFACTOR= 1.0\n##YFACTOR= 0.5\n{extra}"
        f"##XYDATA= (X++(Y..Y))\n{table_text}##END=\n"
    )


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("FIX", "1 2 3 3 2 1 0 -1 -2 -3"),
        ("PAC", "1+2+3+3+2+1+0-1-2-3"),
        ("SQZ", "1BCCBA@abc"),
        ("DIF", "1JJ%jjjjjj"),
        ("DIFDUP", "1JT%jX"),
    ],
)
def test_the_standards_table_of_forms(form: str, line: str) -> None:
    """McDonald and Wilks 1988, section 5: the same ten ordinates in each form."""
    values, in_differences = _ordinates(line, 10)
    assert values == [1, 2, 3, 3, 2, 1, 0, -1, -2, -3]
    assert in_differences == (form in {"DIF", "DIFDUP"})


def test_affn_lines_with_factors() -> None:
    x, y, unit = parse_jcamp(jcamp("400 2 4 6 8 10\n405 12 14 16 18 20\n"))
    assert x == [400.0 + i for i in range(10)]
    assert y == [1.0 + i for i in range(10)]
    assert unit == "COUNTS"


def test_differences_carry_their_y_check_into_the_next_line() -> None:
    text = jcamp("400B KKKK\n404A0KKKKK\n409B0\n".replace(" ", ""), extra="##FIRSTY= 1.0\n")
    assert parse_jcamp(text)[1] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (jcamp("400BKKKK\n404A1KKKKK\n"), "Y check"),
        (jcamp("400 2 4 6 8 10\n407 12 14 16 18 20\n"), "X check"),
        (jcamp("400 2 4 6 8 10\n405 12 14 16 18\n"), "9 ordinates, NPOINTS says 10"),
        (jcamp("400 2 4 6 8 10\n405 12 14 16 18 ?\n"), "no meaning"),
        (jcamp("400BKs99999999\n"), "more ordinates"),
        (jcamp("400K\n"), "begins with a difference"),
        (jcamp("400 2 4 6 8 10\n405 12 14 16 18 20\n", extra="##FIRSTY= 7\n"), "FIRSTY"),
        (jcamp("400 2 4 6 8 10\n405 12 14 16 18 20\n").replace("##END=\n", ""), "not complete"),
        (jcamp("400 2 4 6 8 10\n405 12 14 16 18 20\n").replace("NANOMETERS", "FURLONGS"), "abscissa unit"),
        (jcamp("").replace("UV/VIS SPECTRUM", "LINK"), "several blocks"),
        (jcamp("").replace("(X++(Y..Y))", "(XY..XYZ)"), "not understood"),
        (jcamp("", points=10**9), "NPOINTS"),
        (jcamp("", last=400.0), "equal"),
        (jcamp("1E+999 1 2\n"), "X check"),
    ],
)
def test_a_failed_check_is_an_error(text: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        parse_jcamp(text)


def test_pairs_micrometres_and_wavenumbers() -> None:
    rows = "\n".join(f"{0.4 + 0.001 * i:.3f}, {i}; {0.4005 + 0.001 * i:.4f} {i}" for i in range(5))
    text = f"{HEAD.replace('NANOMETERS', 'MICROMETERS')}##XYPOINTS= (XY..XY)\n{rows}\n##END=\n"
    spectrum = parse_spectrum(text.encode())
    assert spectrum.wavelengths_nm == pytest.approx(np.arange(400.0, 405.0, 0.5))
    falling = jcamp("25000 2 4 6 8 10 12 14 16 18 20\n", first=25000.0, last=24100.0)
    spectrum = parse_spectrum(falling.replace("NANOMETERS", "1/CM").encode())
    assert spectrum.wavelengths_nm[[0, -1]] == pytest.approx([400.0, 1e7 / 24100.0])
    assert spectrum.intensities[[0, -1]].tolist() == [1.0, 10.0]


@settings(max_examples=200)
@given(st.lists(st.integers(-9999, 99999), min_size=1, max_size=40))
def test_squeezed_differences_come_back_as_they_were(values: list[int]) -> None:
    assert _ordinates(squeeze(values), len(values))[0] == values


@pytest.mark.parametrize("dialect", ["csv", "semicolon", "tab", "jcamp", "jcamp-asdf"])
def test_the_twins_files_read_back(dialect: Dialect) -> None:
    wavelengths = 350.0 + 0.3 * np.arange(200) - 1e-5 * np.arange(200) ** 2
    counts = LampAndPeak(pixels=200, on=True).expose(0.0, 0.1)
    text = FolderTwin(LampAndPeak(pixels=200), ".", wavelengths, dialect=dialect).render(counts)
    spectrum = parse_spectrum(text.encode())
    assert spectrum.wavelengths_nm.size == 200
    assert spectrum.wavelengths_nm[[0, -1]] == pytest.approx(wavelengths[[0, -1]], abs=1e-3)
    assert spectrum.intensities[[0, -1]] == pytest.approx(np.rint(counts)[[0, -1]])


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(alphabet="0123456789.,;-+eE\t \n", max_size=200).map(str.encode)
    | st.text(alphabet="0123456789.+-eE@AbJk%STs, \n", max_size=120).map(lambda text: jcamp(text).encode())
)
def test_no_file_whatever_raises_anything_but_our_own_errors(data: bytes) -> None:
    try:
        spectrum = parse_spectrum(data)
    except DriverError as error:
        assert str(error)
    else:
        assert spectrum.wavelengths_nm.shape == spectrum.intensities.shape
