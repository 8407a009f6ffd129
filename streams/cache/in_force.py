"""What is in force in the cache under each name, in which version, and what was before.

m1cep:now:KIND:NAME   the record of what is in force: version, who put it there, when and why; contents of a version are beside it
history               the same of what was; contents that are not in force any more stay for a while
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from redis import RedisError, WatchError

from streams.cache import keys
from streams.errors import ServerError, UsageError
from streams.user import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

#: Entries of a list go over the wire in parts of so many.
PART = 1_000
#: Contents that are not in force any more: for workers that go on from before a change, and for whoever asks what was.
KEPT_S = 7 * 86_400
KEPT_VERSIONS = 20
_HISTORY = 1_000


class InForce:
    """Records of what is in force.

    Args:
        client: of the cache.
        by: who writes, for the history; the user of the system by default.
    """

    def __init__(self, client: Redis, by: str = "") -> None:
        self.client: Any = client
        self._by = by or user_name()

    def now(self, kind: str, name: str) -> dict[str, Any] | None:
        """What is in force under a name, with version, at_ms, by, note, and entries (a number) or value; None for nothing."""
        return _record(kind, self.client.get(keys.now(kind, keys.check_name(name, kind))))

    def all_now(self) -> dict[str, dict[str, Any]]:
        """All that is in force, by label such as ``list sanctions``."""
        with server_errors():
            found = sorted(set(self.client.scan_iter(match=keys.NOW + "*", count=PART)))
            raw = self.client.mget(found) if found else []
            labels = [keys.label(key) for key in found]
            records = [_record(label.partition(" ")[0], text) for label, text in zip(labels, raw, strict=True)]
            return {label: r for label, r in zip(labels, records, strict=True) if r is not None}

    def history(self, kind: str, name: str, limit: int = 100) -> list[dict[str, Any]]:
        """What was put in force, newest first.

        Raises:
            UsageError: there is nothing of that name.
        """
        with server_errors():
            self.required(kind, name)
            return [orjson.loads(r) for r in self.client.lrange(keys.history(kind, name), 0, limit - 1)]

    def required(self, kind: str, name: str) -> dict[str, Any]:
        """What is in force under a name.

        Raises:
            UsageError: nothing is.
        """
        found = self.now(kind, name)
        if found is None:
            raise UsageError(f"there is no {kind} {name!r} in the cache")
        return found

    def note(self, pipe: Any, kind: str, name: str, record: dict[str, Any], before: dict[str, Any] | None) -> None:
        """What is in force, its history, and an end for what was in force."""
        history = keys.history(kind, name)
        pipe.set(keys.now(kind, name), orjson.dumps(record))
        pipe.lpush(history, orjson.dumps({k: v for k, v in record.items() if k not in {"value", "sum"}}))
        pipe.ltrim(history, 0, _HISTORY - 1)
        old = version_of(before)
        if old and old != record["version"]:
            pipe.expire(keys.contents(kind, name, old), KEPT_S)
            past = self.client.lrange(history, 0, -1)
            distinct = dict.fromkeys([record["version"], *(orjson.loads(r)["version"] for r in past)])
            too_old = list(distinct)[KEPT_VERSIONS:]
            if too_old:
                pipe.unlink(*(keys.contents(kind, name, v) for v in too_old))

    def about(self, note: str) -> dict[str, Any]:
        """What every record has beside its contents."""
        return {"at_ms": time.time_ns() // 1_000_000, "by": self._by, "note": note[:500]}


def version_of(record: dict[str, Any] | None) -> str:
    """Of a record; "" for none."""
    return "" if record is None else str(record["version"])


def _record(kind: str, text: str | None) -> dict[str, Any] | None:
    """What M1CEP wrote of what is in force; what others put there is nothing, and the next import replaces it."""
    try:
        found = orjson.loads(text or "null")
        known = [found["version"], found["by"], found["note"], found["at_ms"] + 0]
        known += [found["entries"] + 0, int(found["sum"], 16)] if kind == "list" else [found["value"]]
    except (ValueError, KeyError, TypeError):
        return None
    record: dict[str, Any] = found
    return record if isinstance(known[0], str) else None


@contextmanager
def server_errors() -> Iterator[None]:
    """What the cache fails with, as a ServerError; but not that others were faster (WatchError)."""
    try:
        yield
    except WatchError:
        raise
    except RedisError as error:
        raise ServerError(f"the cache failed: {error}", "nothing was changed that is in force; try again") from error
