"""The text between the parentheses of PATTERN (...), parsed: SQL:2016, part 2, 7.6 <row pattern>.

pattern   = sequence { "|" sequence }
sequence  = { factor }
factor    = primary [ quantifier ]
primary   = variable | "(" [ pattern ] ")" | "{-" pattern "-}" | "PERMUTE" "(" pattern { "," pattern } ")"
          | "ABSENT" "(" variable ")" | "^" | "$"
quantifier = ( "*" | "+" | "?" | "{" n "}" | "{" [ n ] "," [ m ] "}" ) [ "?" ]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.errors import RuleError
from m1cep.plan.pattern import Absent, Alt, Anchor, Concat, Empty, Exclude, Pattern, Permute, Repeat, Var

if TYPE_CHECKING:
    from m1cep.errors import SourceText

_TOKEN = re.compile(
    r"(?P<space>(?:\s|--[^\n]*|/\*.*?\*/)+)"
    r'|(?P<name>[A-Za-z_][A-Za-z_0-9]*|"[^"]+")'
    r"|(?P<count>\{\s*(?P<low>\d*)\s*(?P<comma>,)?\s*(?P<high>\d*)\s*\})"
    r"|(?P<symbol>\{-|-\}|[()|*+?^$,])",
    re.DOTALL,
)
_UNBOUNDED = {"*": (0, None), "+": (1, None), "?": (0, 1)}
MAX_COUNT = 10_000
MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # name | count | symbol | end
    text: str
    pos: int
    low: int = 0
    high: int | None = None


def parse_pattern(source: SourceText, text: str, start: int) -> Pattern:
    """The tree of a row pattern that stands at offset ``start`` of the source.

    Raises:
        RuleError: it is not a row pattern.
    """
    parser = _Parser(source, list(_tokens(source, text, start)))
    pattern = parser.alternation()
    parser.expect_end()
    return pattern


def _tokens(source: SourceText, text: str, start: int) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise RuleError(
                f"not part of a row pattern: {text[at]!r}",
                source,
                start + at,
                hint="a pattern has variables, ( ) | , the quantifiers * + ? {n} {n,} {,m} {n,m}, ^ $, PERMUTE(...), {- ... -}",
            )
        if found["count"] is not None:
            out.append(_count(source, found, start + at))
        elif found["name"] is not None:
            out.append(_Token("name", found["name"].strip('"'), start + at))
        elif found["symbol"] is not None:
            out.append(_Token("symbol", found["symbol"], start + at))
        at = found.end()
    out.append(_Token("end", "", start + len(text)))
    return out


def _count(source: SourceText, found: re.Match[str], pos: int) -> _Token:
    text, low_text, high_text = found["count"], found["low"], found["high"]
    if not low_text and not found["comma"]:
        raise RuleError(
            "expected a number in the quantifier { }", source, pos, length=len(text), hint="{3}, {3,} or {3,5}"
        )
    low = int(low_text[:9] or 0)
    high = (int(high_text[:9]) if high_text else None) if found["comma"] else low
    if low > MAX_COUNT or (high or 0) > MAX_COUNT:
        raise RuleError(f"expected a count of at most {MAX_COUNT}, got {text}", source, pos, length=len(text))
    if high is not None and high < low:
        raise RuleError(
            f"expected a range that begins with the smaller count, got {text}",
            source,
            pos,
            length=len(text),
            hint=f"{{{high},{low}}}",
        )
    if high == 0:
        raise RuleError(
            f"expected a highest count of at least 1, got {text}",
            source,
            pos,
            length=len(text),
            hint="leave the part out",
        )
    return _Token("count", text, pos, low, high)


class _Parser:
    def __init__(self, source: SourceText, tokens: list[_Token]) -> None:
        self._source = source
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *symbols: str) -> _Token | None:
        token = self._now
        if token.kind == "symbol" and token.text in symbols:
            self._at += 1
            return token
        return None

    def _refuse(self, expected: str, hint: str = "") -> RuleError:
        token = self._now
        came = "the end of the pattern" if token.kind == "end" else repr(token.text)
        return RuleError(
            f"expected {expected}, got {came}", self._source, token.pos, length=max(1, len(token.text)), hint=hint
        )

    def _expect(self, symbol: str) -> None:
        if self._take(symbol) is None:
            raise self._refuse(repr(symbol))

    def expect_end(self) -> None:
        if self._now.kind != "end":
            raise self._refuse("a variable, a quantifier or the end of the pattern")

    def alternation(self) -> Pattern:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(f"expected at most {MAX_DEPTH} nested groups", self._source, self._now.pos)
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def _sequence(self) -> Pattern:
        parts: list[Pattern] = []
        while (part := self._primary()) is not None:
            parts.append(self._quantified(part))
        if not parts:
            raise self._refuse("a variable or a group", hint="the empty pattern is written ()")
        return parts[0] if len(parts) == 1 else Concat(tuple(parts))

    def _quantified(self, part: Pattern) -> Pattern:
        token = self._now
        if sign := self._take("*", "+", "?"):
            low, high = _UNBOUNDED[sign.text]
        elif token.kind == "count":
            self._at += 1
            low, high = token.low, token.high
        else:
            return part
        greedy = self._take("?") is None
        if isinstance(part, Absent):
            raise RuleError("expected no quantifier here", self._source, token.pos, length=len(token.text))
        if self._now.kind == "count" or (self._now.kind == "symbol" and self._now.text in "*+?"):
            raise self._refuse("one quantifier", hint="put the quantified part in parentheses to repeat it: (A+)*")
        return Repeat(part, low, high, greedy, token.pos)

    def _primary(self) -> Pattern | None:
        token = self._now
        if token.kind == "name":
            self._at += 1
            following = self._now
            if following.kind == "symbol" and following.text == "(" and token.text.upper() in {"PERMUTE", "ABSENT"}:
                return self._permute(token) if token.text.upper() == "PERMUTE" else self._absent(token)
            return Var(token.text, token.pos)
        if self._take("("):
            if self._take(")"):
                return Empty(token.pos)
            inner = self.alternation()
            self._expect(")")
            return inner
        if self._take("{-"):
            inner = self.alternation()
            self._expect("-}")
            return Exclude(inner, token.pos)
        if anchor := self._take("^", "$"):
            return Anchor(anchor.text, anchor.pos)
        return None

    def _permute(self, token: _Token) -> Pattern:
        self._expect("(")
        parts = [self.alternation()]
        while self._take(","):
            parts.append(self.alternation())
        self._expect(")")
        return Permute(tuple(parts), token.pos)

    def _absent(self, token: _Token) -> Pattern:
        self._expect("(")
        name = self._now
        if name.kind != "name":
            raise self._refuse("a variable in ABSENT( )")
        self._at += 1
        self._expect(")")
        return Absent(name.text, token.pos)
