"""YAML text becomes data that knows its lines; what has no place in a configuration is refused before it is built."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ConfigError
from orchestrator.yaml_source import MAX_BYTES, MAX_DEPTH, Document, parse, read_text


def problem_of(text: str) -> tuple[int, int, str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "file.yaml")
    (problem,) = caught.value.problems
    return problem.line, problem.column, problem.message


def test_scalars_follow_yaml_1_2() -> None:
    text = "{a: 1, b: -2.5, c: 1e3, d: true, e: yes, f: null, g: .nan, h: -.inf, i: 0x10, j: '1', k: 012, l: 1_0, m: ~}"
    data = parse(text, "f").root.plain()
    assert math.isnan(data.pop("g"))
    assert data == {
        "a": 1,
        "b": -2.5,
        "c": 1000.0,
        "d": True,
        "e": "yes",
        "f": None,
        "h": -math.inf,
        "i": 16,
        "j": "1",
        "k": 12,
        "l": "1_0",
        "m": None,
    }


def test_every_key_and_value_knows_its_place() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: 2,\n     d: [3, 4]}\n", "f")
    key, value, reached = document.find(("b", 1, "d", 1))
    assert (value.value, value.line, value.column) == (4, 5, 13)
    assert reached == ("b", 1, "d", 1)
    key, value, _ = document.find(("b", 1, "c"))
    assert (key.line, key.column, value.line, value.column) == (4, 6, 4, 9)


def test_a_problem_below_what_exists_stands_at_the_deepest_key_that_does() -> None:
    problem = parse("a:\n  b: {c: 1}\n", "f").problem(("a", "b", "gone", 3), "missing")
    assert (problem.line, problem.column, problem.path) == (2, 3, "a.b.gone[3]")


def test_a_problem_shows_the_line_and_points_at_the_text() -> None:
    problem = parse("a:\n  bore: 5\n", "rig.yaml").problem(("a", "bore"), "no unit", allowed="mm", suggestion='"5 mm"')
    assert str(problem).splitlines() == [
        'rig.yaml:2:9: a.bore: no unit (got 5; allowed: mm; did you mean "5 mm"?)',
        "    2 |   bore: 5",
        "                ^",
    ]


@pytest.mark.parametrize("text", ["a: 1\nb:\t5 meV\n", "a: 1\nb: 5\tmeV\n"])
def test_a_tab_is_called_a_tab(text: str) -> None:
    with pytest.raises(ConfigError, match="a tab where YAML takes only blanks"):
        parse(text, "f")


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_shown_is_the_one_that_is_meant_whatever_python_calls_a_line(sign: str, end: str) -> None:
    document = parse(f"a: x{sign}y{end}b: 2{end}", "f")
    assert document.problem(("b",), "too many").source == "b: 2"


def test_text_that_looks_like_yes_stays_text() -> None:
    assert parse("a: off", "f").root.plain() == {"a": "off"}


def test_an_anchor_may_be_used_again() -> None:
    assert parse("a: &x {b: 1}\nc: *x", "f").root.plain() == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_where_it_becomes_too_deep(opening: str) -> None:
    text = "a: " + opening * 100_000 if opening != "- " else "a:\n" + " - " + "- " * 100_000
    assert "nested deeper" in problem_of(text)[2]


def test_nesting_up_to_the_limit_is_read() -> None:
    parse("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), "f")


def test_aliases_that_multiply_are_refused_before_they_are_expanded() -> None:
    rows = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    line, _, message = problem_of("\n".join(rows))
    assert "multiply" in message
    assert line < 9


def test_more_values_than_a_configuration_needs_are_refused() -> None:
    assert "more values" in problem_of("a: [" + "1," * 30_000 + "]")[2]


def test_a_text_over_the_size_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"# " + b"x" * MAX_BYTES)
    with pytest.raises(ConfigError, match="larger than 1000 kB"):
        read_text(path)
    with pytest.raises(ConfigError, match="larger than 1000 kB"):
        parse("# " + "µ" * (MAX_BYTES // 2), "f")


def test_a_byte_that_is_not_utf_8_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: gr\xfcn\n")
    with pytest.raises(ConfigError) as caught:
        read_text(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.offending) == (2, 6, "byte 0xFC")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert parse(read_text(path), "f").root.plain() == {"a": 1}


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_text(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(Path("nul\0.yaml"))


def test_an_unclosed_quote_is_blamed_on_the_line_where_it_opens() -> None:
    assert problem_of('a: 1\nb: "open\nc: 2\n')[:2] == (2, 4)


def test_a_missing_colon_is_blamed_on_its_own_line() -> None:
    assert problem_of("a:\n  b 1\n  c: 2\n") == (2, 3, "a key without its colon")


def test_a_control_character_does_not_reach_the_terminal() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("a: \x1b[31mred", "f")
    assert "\x1b" not in str(caught.value)


@given(st.text(alphabet=st.sampled_from("ab:[]{}-,&*!#|>'\"%@?\t\n 01.~\x00é"), max_size=60))
def test_any_text_is_a_document_or_a_clear_refusal(text: str) -> None:
    try:
        document = parse(text, "f")
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.message
        assert problem.line <= len(text.splitlines()) + 1
    else:
        assert isinstance(document, Document)
        assert isinstance(document.root.plain(), dict)
