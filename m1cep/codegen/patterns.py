"""LIKE patterns to regular expressions."""

from __future__ import annotations

import re


def like_regex(pattern: str, escape: str = "") -> re.Pattern[str]:
    """The regular expression of a LIKE pattern: ``%`` any text, ``_`` one character.

    >>> like_regex("a%_", "").pattern
    'a.*.'
    >>> like_regex("5!%", "!").pattern
    '5%'
    """
    out: list[str] = []
    literal = False
    for char in pattern:
        if not literal and escape and char == escape:
            literal = True
            continue
        out.append(re.escape(char) if literal or char not in "%_" else (".*" if char == "%" else "."))
        literal = False
    return re.compile("".join(out), re.DOTALL)
