"""The errors of M1CEP, one tree.

M1cepError
├── RuleError      a rule, a stream declaration or its front matter cannot be understood: line, column, caret, hint
├── EventError     an event does not fit its stream: stream, column, reason
├── EngineError    the engine is used in a way that cannot be right: an unknown stream, two rules with one id
├── GridError      a grid that cannot be planned or run: the numbers that show why
├── CustodyError   a request, message, log or state of custody that is refused: what was expected, what came
│   └── PolicyError    a policy file that cannot be understood: line, column, caret, hint
├── LedgerError    a posting, event or chart of accounts that is refused: its code, what was expected, what came
├── AlertStateError  a change of an alert's state, or a record of one, that is refused: what was expected, what came
├── PretradeError  limits, an order or a record of the pre-trade check that is refused: what was expected, what came
└── RuleFailure    a rule failed while it ran: which one, and the SQL at fault
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = 160  # characters of a line


def _printable(text: str) -> str:
    """The text without what a terminal would act on or could not show."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint with the nearest of ``names``, or with all of them when they are few."""
    options = list(names)
    close = difflib.get_close_matches(name.lower(), [o.lower() for o in options], n=1, cutoff=0.6)
    if close:
        return f"did you mean {next(o for o in options if o.lower() == close[0])!r}?"
    return f"there are: {', '.join(options[:30])}" if options else ""


class M1cepError(Exception):
    """Base of every error that M1CEP raises on purpose."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """A text that a person wrote, with the name under which messages cite it."""

    text: str
    name: str

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset."""
        offset = max(0, min(offset, len(self.text)))
        line = self.text.count("\n", 0, offset) + 1
        start = self.text.rfind("\n", 0, offset) + 1
        return line, offset - start + 1

    def excerpt(self, offset: int, length: int = 1) -> str:
        """The line at ``offset`` with a caret below it; of a long line the part around it. All of it is printable."""
        line, column = self.position(offset)
        shown = self.text.split("\n")[line - 1]
        cut = max(0, column - _SHOWN // 2) if len(shown) > _SHOWN else 0
        shown, column = shown[cut : cut + _SHOWN], column - cut
        shown = _printable(shown)
        number = f"{line:>4} | "
        pad = "".join("\t" if c == "\t" else " " for c in shown[: column - 1])
        width = max(1, min(length, len(shown) - column + 1))
        return f"{number}{shown}\n{' ' * (len(number) - 2)}| {pad}{'^' * width}"


class _TextError(M1cepError):
    """A text that a person wrote and that is refused.

    Attributes:
        message: what was expected and what came.
        line, column: where, both from 1.
        hint: the remedy, or an empty string.
        name: of the text (a file or rule name).
    """

    def __init__(self, message: str, source: SourceText, offset: int = 0, *, length: int = 1, hint: str = "") -> None:
        self.name = source.name
        self.offset = offset
        self.length = length
        self.line, self.column = source.position(offset)
        message, hint = self.message, self.hint = _printable(message), _printable(hint)
        text = f"{source.name}:{self.line}:{self.column}: {message}\n{source.excerpt(offset, length)}"
        if hint:
            text += f"\nhint: {hint}"
        super().__init__(text)


class RuleError(_TextError):
    """A rule text that is refused."""


class EventError(M1cepError):
    """An event that does not fit its stream.

    Attributes:
        stream: name of the stream.
        column: the column at fault, or None when the event as a whole is not readable.
        reason: what was expected and what came.
        index: position of the event in what was pushed, or None.
    """

    def __init__(self, stream: str, reason: str, *, column: str | None = None, index: int | None = None) -> None:
        self.stream = stream
        self.column = column
        self.reason = reason
        self.index = index
        where = f"stream {stream!r}" + (f", column {column!r}" if column else "")
        if index is not None:
            where += f", event {index} of the batch"
        super().__init__(f"{where}: {reason}")


class EngineError(M1cepError):
    """The engine cannot be run this way; the message says why and what to do."""


class GridError(M1cepError):
    """A grid that cannot be planned or run; the message has the numbers that show why, and the remedy."""


class PretradeError(M1cepError):
    """Limits, an order or a record that the pre-trade check refuses; the message says what was expected and what came."""


class AlertStateError(M1cepError):
    """A change of an alert's state, or a record of one, that is refused; the message says what was expected and what came."""


class CustodyError(M1cepError):
    """A request, a message, a log or a state of custody that is refused; no secret is ever part of the message."""


class PolicyError(_TextError, CustodyError):
    """A custody policy that is refused."""


class LedgerError(M1cepError):
    """A posting that is refused: nothing of it is in the books.

    Attributes:
        code: why, in one word of a fixed list, such as ``exceeds_credits``; for counters.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {_printable(message)}")


class RuleFailure(M1cepError):  # noqa: N818 - not a wrong use: something in the rule's code gave way
    """A rule failed on an event. ``__cause__`` has the Python error, its traceback the generated source.

    Attributes:
        rule: id of the rule.
        line: of the SQL at fault, from 1, or None where it is not known.
    """

    def __init__(self, rule: str, source: SourceText, offset: int | None, cause: BaseException) -> None:
        self.rule = rule
        self.line = None if offset is None else source.position(offset)[0]
        where = "" if offset is None else f"\n{source.excerpt(offset)}"
        super().__init__(f"rule {rule!r} failed: {type(cause).__name__}: {cause}{where}")
