"""Tokens: made once, kept from others, and each with its name and role."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.daemon.http import ServerRefused, Token, TokenBook, load_tokens, token_of

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_first_start_makes_a_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lumiflow.tokens"
    book = load_tokens(path)
    text = token_of(path)
    assert len(text) >= 43  # 256 bits
    found = book.who(text.encode())
    assert found is not None and (found.name, found.role) == ("operator", "write")
    assert os.name != "posix" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_later_starts_keep_it_and_two_folders_have_two(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    load_tokens(first)
    text = token_of(first)
    load_tokens(first)
    load_tokens(second)
    assert token_of(first) == text != token_of(second)


def test_further_tokens_have_names_and_roles(tmp_path: Path) -> None:
    path = write(tmp_path / "t", f"# who\noperator write {'a' * 40}\n\n  anna\tread {'b' * 40}  \n")
    book = load_tokens(path)
    anna = book.who(b"b" * 40)
    assert anna is not None and (anna.name, anna.role) == ("anna", "read")
    assert token_of(path, "anna") == "b" * 40
    with pytest.raises(ServerRefused, match="no token of 'berta'"):
        token_of(path, "berta")


@pytest.mark.parametrize("presented", [b"", b"a" * 39, b"a" * 41, b"A" * 40, b"\xff" * 40])
def test_what_is_not_a_token_is_nobody(presented: bytes) -> None:
    assert TokenBook([Token.of("operator", "write", "a" * 40)]).who(presented) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no token"),
        ("# nothing\n", "holds no token"),
        ("operator write short\n", ":1: no token"),
        (f"operator admin {'a' * 40}\n", ":1: no token"),
        (f"# x\n{'a' * 40}\n", ":2: no token"),
        (f"a read {'a' * 40}\nb write {'a' * 40}\n", "one token stands on two lines"),
        (f"a read {'a' * 40}\na write {'b' * 40}\n", "one name stands on two lines"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ServerRefused, match=words):
        load_tokens(write(tmp_path / "t", text))


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "t"
    load_tokens(path)
    path.chmod(mode)
    with pytest.raises(ServerRefused, match="chmod 600"):
        load_tokens(path)


@posix
def test_a_link_or_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    load_tokens(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "folder", "pipe"):
        with pytest.raises(ServerRefused):
            load_tokens(tmp_path / name)


def test_a_token_does_not_show_in_what_is_printed_of_it() -> None:
    assert "secret" not in repr(Token.of("operator", "write", "secret" * 8))
