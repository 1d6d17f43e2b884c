"""Tokens: who speaks, and what they may do. Kept in a file that only its owner can read; compared in constant time.

The file has one token a line: the name that commands are journalled under, `read` or `write`, and the token itself.
Lines that begin with # are remarks. The first start makes it, with a token for the operator.

There is no lock-out after wrong tokens: 256 random bits are not guessed, and a lock-out would be a way to keep an
operator from the stop command.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestrator.daemon.http.binding import ServerRefused

Role = Literal["read", "write"]

OPERATOR = "operator"
MIN_LENGTH = 32
MAX_FILE_BYTES = 64_000
_LINE = re.compile(rf"([\w.@-]{{1,64}})[ \t]+(read|write)[ \t]+([!-~]{{{MIN_LENGTH},512}})")


@dataclass(frozen=True)
class Token:
    """Who a token speaks for. Only its digest is kept."""

    name: str
    role: Role
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, role: Role, text: str) -> Token:
        return cls(name, role, _digest(text.encode()))


class TokenBook:
    """Every token that the server knows. Raises ValueError at construction for a name or a token used twice."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._tokens = tuple(tokens)
        for what, values in (
            ("name", [token.name for token in self._tokens]),
            ("token", [token.digest for token in self._tokens]),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"one {what} stands on two lines")

    def who(self, presented: bytes) -> Token | None:
        """The token presented, or None. Takes the same time whichever it is, and for none."""
        digest = _digest(presented)
        found: Token | None = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def load_tokens(path: Path) -> TokenBook:
    """The tokens of a file, which is made with one for the operator when it is not there.

    Raises ServerRefused for a file that others may read, that is not the daemon's own, or that says something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
    except OSError as error:
        raise ServerRefused(f"{path}: the token file cannot be made: {error}") from error
    try:
        return TokenBook(Token.of(name, role, text) for name, role, text in _lines(path))
    except ValueError as error:
        raise ServerRefused(f"{path}: {error}") from error


def token_of(path: Path, name: str = OPERATOR) -> str:
    """The token text of one name, for a client on the same machine. Raises ServerRefused."""
    for other, _, text in _lines(path):
        if other == name:
            return text
    raise ServerRefused(f"{path}: has no token of {name!r}")


def _create(path: Path) -> None:
    """Make the file unless it is there. It appears with its token in it or not at all."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as file:
            file.write(f"# name role token\n{OPERATOR} write {secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _lines(path: Path) -> list[tuple[str, Role, str]]:
    """(name, role, token) of every line."""
    found: list[tuple[str, Role, str]] = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ServerRefused(
                f"{path}:{number}: no token: a line is NAME read|write TOKEN, the token at least {MIN_LENGTH} visible "
                "ASCII characters long"
            )
        found.append((match[1], "write" if match[2] == "write" else "read", match[3]))
    if not found:
        raise ServerRefused(f"{path}: holds no token; delete it, and the next start makes a new one")
    return found


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ServerRefused(f"{path}: the token file is no plain file")
            if os.name == "posix":
                if facts.st_uid != os.geteuid():
                    raise ServerRefused(f"{path}: the token file belongs to another user")
                if facts.st_mode & 0o077:
                    raise ServerRefused(f"{path}: others may read or write the token file: chmod 600 {path}")
            return file.read(MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerRefused(f"{path}: the token file cannot be read: {error}") from error


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
