"""LIKE patterns to regular expressions."""

from __future__ import annotations

import re


def like_regex(pattern: str, escape: str = "") -> re.Pattern[str]:
    """The regular expression of a LIKE pattern: ``%`` any text, ``_`` one character.

    A part between two ``%`` may as well stand at the first place where it fits, so it is never tried at another one (``(?>``):
    the time is proportional to the text, whatever the pattern.

    >>> like_regex("a%_", "").pattern
    'a.*.'
    >>> like_regex("a%b%c", "").pattern
    'a(?>.*?b).*c'
    >>> like_regex("5!%", "!").pattern
    '5%'
    """
    parts: list[str] = [""]
    literal = False
    for char in pattern:
        if not literal and escape and char == escape:
            literal = True
            continue
        if char == "%" and not literal:
            parts.append("")
        else:
            parts[-1] += re.escape(char) if literal or char != "_" else "."
        literal = False
    first, *middle = parts
    last = f".*{middle.pop()}" if middle else ""
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle if part) + last, re.DOTALL)
