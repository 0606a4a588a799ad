"""Tokens of the IR text, and errors that point at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tdsl.errors import FormatError
from tdsl.ir.vocabulary import NAME


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    SYMBOL = "symbol"
    END = "end of line"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a line: lines count from 1, columns from 0."""

    kind: TokenKind
    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is neither empty nor a comment: its depth (two spaces each) and its tokens."""

    depth: int
    tokens: tuple[Token, ...]
    number: int
    text: str


_TOKEN = re.compile(
    rf"""(?P<name>{NAME}|`(?:[^`\\]|\\.)*`)
    |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?:_[a-z0-9]+)?)
    |(?P<symbol>->|//|<<|>>|<=|>=|==|!=|[-+*/%&|^~<>=()\[\],:;@])
    |(?P<skip>[ ]+|\#.*)""",
    re.VERBOSE,
)


def split_lines(text: str) -> list[Line]:
    """The lines of an IR text as tokens.

    Raises:
        FormatError: a character that no token has, or an odd indentation.
    """
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        bare = raw.lstrip(" ")
        if not bare or bare.startswith("#"):
            continue
        indent = len(raw) - len(bare)
        if indent % 2:
            raise syntax_error(raw, number, indent, "indentation is two spaces a level")
        lines.append(Line(indent // 2, tuple(_tokens(raw, number)), number, raw))
    return lines


def _tokens(raw: str, number: int) -> list[Token]:
    tokens = []
    at = 0
    while at < len(raw):
        found = _TOKEN.match(raw, at)
        if found is None:
            raise syntax_error(raw, number, at, f"unexpected character {raw[at]!r}")
        if found.lastgroup != "skip":
            tokens.append(Token(TokenKind(found.lastgroup), found.group(), number, at))
        at = found.end()
    tokens.append(Token(TokenKind.END, "", number, len(raw)))
    return tokens


def syntax_error(raw: str, line: int, column: int, message: str) -> FormatError:
    """A FormatError that shows the line with a caret."""
    shown = f"  {line} | {raw}"
    caret = " " * (len(shown) - len(raw) + column) + "^"
    return FormatError(f"IR text, line {line}, column {column}: {message}\n\n{shown}\n{caret}")


class Cursor:
    """Reads the tokens of one line."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.at = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self.line.tokens[self.at]

    def peek(self, ahead: int = 1) -> Token:
        """A token further on."""
        return self.line.tokens[min(self.at + ahead, len(self.line.tokens) - 1)]

    def next(self) -> Token:
        """Take a token."""
        token = self.token
        if token.kind is not TokenKind.END:
            self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        """Take the given tokens if they come next."""
        if all(self.peek(n).text == text for n, text in enumerate(texts)):
            self.at += len(texts)
            return True
        return False

    def expect(self, text: str) -> Token:
        """Take a token that must come next."""
        if self.token.text != text:
            raise self.error(f"expected {text!r}, found {self.found()}")
        return self.next()

    def name(self, what: str) -> Token:
        """Take a name."""
        if self.token.kind is not TokenKind.NAME:
            raise self.error(f"expected {what}, found {self.found()}")
        return self.next()

    def integer(self, what: str) -> int:
        """Take an integer."""
        negative = self.accept("-")
        token = self.token
        if token.kind is not TokenKind.NUMBER or not token.text.isdigit():
            raise self.error(f"expected {what}, found {self.found()}")
        self.next()
        return -int(token.text) if negative else int(token.text)

    def end(self) -> None:
        """Check that the line ends here."""
        if self.token.kind is not TokenKind.END:
            raise self.error(f"expected the end of the line, found {self.found()}")

    def found(self) -> str:
        """The next token, for messages."""
        return repr(self.token.text) if self.token.text else self.token.kind.value

    def error(self, message: str, at: Token | None = None) -> FormatError:
        """A FormatError at a token (the next one)."""
        token = at or self.token
        return syntax_error(self.line.text, token.line, token.column, message)


def words(items: Sequence[str]) -> str:
    """Choices for a message: `a, b or c`."""
    return ", ".join(items[:-1]) + f" or {items[-1]}" if len(items) > 1 else "".join(items)
