"""What in a newer schema breaks those who know the older one.

Strict, and the same for who reads and who writes: within a version fields are added that may be missing, a choice gets further
values or forms, and nothing else changes but words.
"""

from __future__ import annotations

from typing import Any

_WORDS = frozenset({"description", "title", "summary", "examples", "$id", "$schema", "$comment", "default"})


def breaks(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not compatible, a line each: where, what was, what is.

    Args:
        before: JSON Schema of a topic, as others know it.
        now: as it would be.
    """
    found: list[str] = []
    _compare(before, now, "", found)
    return found


def _compare(before: Any, now: Any, at: str, found: list[str]) -> None:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        if before != now:
            found.append(f"{at or '/'}: was {_short(before)}, is {_short(now)}")
        return
    for word in sorted((before.keys() | now.keys()) - _WORDS):
        old, new = before.get(word), now.get(word)
        where = f"{at}/{word}"
        if word in {"properties", "$defs"}:
            _members(old or {}, new or {}, where, found)
        elif word == "required":
            for name in sorted(set(old or ()) ^ set(new or ())):
                change = "was required and is not" if name in (old or ()) else "is required and was not"
                found.append(f"{where}: {name} {change}")
        elif word in {"anyOf", "oneOf", "enum"} and isinstance(old, list) and isinstance(new, list):
            _choices(old, new, where, found)
        elif isinstance(old, dict) and isinstance(new, dict):
            _compare(old, new, where, found)
        elif old != new:
            found.append(f"{where}: was {_short(old)}, is {_short(new)}")


def _members(old: dict[str, Any], new: dict[str, Any], at: str, found: list[str]) -> None:
    for name, schema in sorted(old.items()):
        if name not in new:
            found.append(f"{at}/{name}: was removed")
        else:
            _compare(schema, new[name], f"{at}/{name}", found)


def _choices(old: list[Any], new: list[Any], at: str, found: list[str]) -> None:
    """Forms that were there still are: as they were, or changed compatibly."""
    gone = (one for one in old if not any(_alike(one, other) for other in new))
    found += [f"{at}: {_short(one)} was possible and is not" for one in gone]


def _alike(one: Any, other: Any) -> bool:
    trouble: list[str] = []
    _compare(one, other, "", trouble)
    return not trouble


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
