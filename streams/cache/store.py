"""Writing to the cache: a list changes whole or not at all, under a new version, and the old one stays for a while.

    staging ── SADD … ──▶ m1cep:list:NAME:VERSION ──▶ MULTI: m1cep:now:list:NAME, history ──▶ invalidations to all who track it

Entries come from an iterator and are never held together; the version is worked out while they pass.
"""

from __future__ import annotations

import getpass
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from redis import RedisError, WatchError

from m1cep.runtime.addresses import normal_address
from m1cep.runtime.versions import ListVersion
from streams.cache import keys
from streams.cache.documents import encoded
from streams.errors import ServerError, ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from redis import Redis

#: Entries of a list go over the wire in parts of so many.
PART = 1_000
MAX_ENTRY = 1_000  # characters
#: Contents that are not in force any more: for workers that go on from before a change, and for whoever asks what was.
KEPT_S = 7 * 86_400
KEPT_VERSIONS = 20
_STAGING_S = 3_600
_HISTORY = 1_000
_ATTEMPTS = 30  # of a change, while others change the same list


@dataclass(frozen=True, slots=True)
class Published:
    """What is in force now.

    Attributes:
        version: from the contents; ``before`` the one that was replaced, "" for none.
        entries: how many the list has; 0 of what is no list.
        repeated: entries that came more than once.
    """

    name: str
    version: str
    before: str = ""
    entries: int = 0
    repeated: int = 0

    @property
    def changed(self) -> bool:
        """Whether it is another than before."""
        return self.version != self.before


def check_entry(entry: str) -> str:
    """The entry as a list has it: addresses whose letters' case means nothing in small letters.

    Raises:
        ValueError: it is none; says why.
    """
    if not entry or entry != entry.strip():
        raise ValueError("expected an entry without blanks around it, got " + repr(entry[:60]))
    if len(entry) > MAX_ENTRY:
        raise ValueError(f"expected at most {MAX_ENTRY} characters, got {len(entry)}")
    if not entry.isprintable():
        raise ValueError("expected printable characters, got " + repr(entry[:60]))
    return normal_address(entry)


class Store:
    """Lists, parameters and templates in the cache.

    Args:
        client: of the cache.
        by: who writes, for the history; the user of the system by default.
    """

    def __init__(self, client: Redis, by: str = "") -> None:
        self.client: Any = client
        self._by = by or _user()

    # -- lists -------------------------------------------------------------------------------------------------------

    def replace_list(
        self,
        name: str,
        entries: Iterable[str],
        note: str = "",
        accept: Callable[[int, int], None] | None = None,
    ) -> Published:
        """Put a list in the place of what the name meant; made when it is not there.

        Args:
            name: of the list.
            entries: in any order, also repeated. What it raises leaves everything as it was.
            note: for the history, such as where it comes from.
            accept: called before the change with the numbers of entries before and after; may raise.

        Raises:
            UsageError: no name, or no entry.
            ServerError: the cache failed; nothing has changed.
        """
        keys.check_name(name)
        version, repeated = ListVersion(), 0
        with self._staging(name) as staging, _server_errors():
            for part in _parts(entries):
                pipe = self.client.pipeline(transaction=False)
                for entry in part:
                    pipe.sadd(staging, entry)
                pipe.expire(staging, _STAGING_S)
                for entry, new in zip(part, pipe.execute()[:-1], strict=True):
                    if new:
                        version.add(entry)
                    else:
                        repeated += 1
            before = self.now("list", name)
            if accept is not None:
                accept(0 if before is None else before["entries"], version.count)
            try:
                self._switch(name, staging, version, before, note)
            except WatchError:
                raise ShellError(
                    f"the list {name!r} that was being written is no longer whole in the cache",
                    "nothing was changed; see that the cache evicts nothing (maxmemory-policy noeviction), and import again",
                ) from None
        return Published(name, version.text, _version(before), version.count, repeated)

    def change_list(self, name: str, add: Iterable[str] = (), remove: Iterable[str] = (), note: str = "") -> Published:
        """Add and remove entries; those that are there already, or are not, make no difference.

        Raises:
            UsageError: there is no such list.
            ShellError: somebody else changes it all the time.
            ServerError: the cache failed; nothing has changed.
        """
        gone = list(remove)
        added, removed = set(map(_checked, add)), {*map(_checked, gone), *gone}  # also as an older version wrote it
        with _server_errors():
            for attempt in range(_ATTEMPTS):
                time.sleep(secrets.randbelow(1 + attempt) / 200)  # two who wait alike would meet again
                before = self.now("list", name)
                if before is None:
                    raise UsageError(
                        f"there is no list {name!r} in the cache", f"make it: m1cep lists import {name} FILE"
                    )
                with self._staging(name) as staging, suppress(WatchError):
                    old = keys.contents("list", name, before["version"])
                    version = _resumed(before)
                    pipe = self.client.pipeline(transaction=False)
                    pipe.copy(old, staging)
                    pipe.expire(staging, _STAGING_S)
                    steps = [(pipe.srem, version.remove, e) for e in sorted(removed - added)]
                    steps += [(pipe.sadd, version.add, e) for e in sorted(added)]
                    for command, _count, entry in steps:
                        command(staging, entry)
                    for (_command, count, entry), done in zip(steps, pipe.execute()[2:], strict=True):
                        if done:
                            count(entry)
                    self._switch(name, staging, version, before, note, only_from=before["version"])
                    return Published(name, version.text, before["version"], version.count)
        raise ShellError(f"the list {name!r} was changed by others {_ATTEMPTS} times in a row", "try again")

    def entries(self, name: str, version: str = "") -> Iterator[str]:
        """The entries of a list, in no order; of the version in force by default.

        Raises:
            UsageError: there is no such list or version.
            ServerError: the cache failed.
        """
        with _server_errors():
            version = version or _version(self.required("list", name))
            key = keys.contents("list", name, version)
            if not self.client.exists(key) and version != ListVersion().text:
                raise UsageError(
                    f"version {version!r} of list {name!r} is not in the cache", "m1cep lists history tells which are"
                )
            yield from self.client.sscan_iter(key, count=PART)  # one may come twice while the server rearranges the set

    # -- parameters, values of rules, templates ----------------------------------------------------------------------

    def set_value(self, kind: str, name: str, value: Any, note: str = "") -> Published:
        """Put a parameter (``m1cep.Parameter``), the values of a rule (a mapping) or a template (any JSON) in force.

        Raises:
            UsageError: no name, or a value that rules could not read.
            ServerError: the cache failed; nothing has changed.
        """
        keys.check_name(name, kind)
        version, document = encoded(kind, value)
        with _server_errors():
            before = self.now(kind, name)
            record = {"version": version, "value": document} | self._about(note)
            pipe = self.client.pipeline(transaction=True)
            pipe.set(keys.contents(kind, name, version), orjson.dumps(document))
            self._note(pipe, kind, name, record, before)
            pipe.execute()
        return Published(name, version, _version(before))

    def value(self, kind: str, name: str, version: str = "") -> Any:
        """The JSON document of a parameter, a rule's values or a template; of the version in force by default.

        Raises:
            UsageError: there is no such thing, or not in that version.
        """
        with _server_errors():
            record = self.required(kind, name)
            if version in {"", record["version"]}:
                return record["value"]
            raw = self.client.get(keys.contents(kind, name, version))
            if raw is None:
                raise UsageError(f"version {version!r} of {kind} {name!r} is not in the cache")
            return orjson.loads(raw)

    # -- what is there -----------------------------------------------------------------------------------------------

    def now(self, kind: str, name: str) -> dict[str, Any] | None:
        """What is in force under a name, with version, at_ms, by, note, and entries (a number) or value; None for nothing."""
        return _record(kind, self.client.get(keys.now(kind, keys.check_name(name, kind))))

    def all_now(self) -> dict[str, dict[str, Any]]:
        """All that is in force, by label such as ``list sanctions``."""
        with _server_errors():
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
        with _server_errors():
            self.required(kind, name)
            return [orjson.loads(r) for r in self.client.lrange(keys.history(kind, name), 0, limit - 1)]

    # -- within ------------------------------------------------------------------------------------------------------

    def required(self, kind: str, name: str) -> dict[str, Any]:
        """What is in force under a name.

        Raises:
            UsageError: nothing is.
        """
        found = self.now(kind, name)
        if found is None:
            raise UsageError(f"there is no {kind} {name!r} in the cache")
        return found

    @contextmanager
    def _staging(self, name: str) -> Iterator[str]:
        """A key for a list that is being written; gone afterwards, whatever happens."""
        key = f"{keys.PREFIX}staging:{name}:{secrets.token_hex(8)}"
        try:
            yield key
        finally:
            with suppress(RedisError):  # it expires by itself
                self.client.unlink(key)

    def _switch(
        self,
        name: str,
        staging: str,
        version: ListVersion,
        before: dict[str, Any] | None,
        note: str,
        only_from: str = "",
    ) -> None:
        """The written list takes the name.

        Raises:
            WatchError: it is not there as it was written (it has expired, or was evicted); with ``only_from`` also when the
                list is no longer of that version. Nothing has changed.
        """
        key = keys.contents("list", name, version.text)
        record = {"version": version.text, "entries": version.count, "sum": version.state} | self._about(note)
        with self.client.pipeline(transaction=True) as pipe:
            # A RENAME that fails would not keep the rest from happening.
            pipe.watch(staging, *([keys.now("list", name)] if only_from else []))
            if pipe.scard(staging) != version.count or (only_from and _version(self.now("list", name)) != only_from):
                raise WatchError
            pipe.multi()
            if version.count:
                pipe.rename(staging, key)
                pipe.persist(key)
            self._note(pipe, "list", name, record, before)
            pipe.execute()

    def _note(self, pipe: Any, kind: str, name: str, record: dict[str, Any], before: dict[str, Any] | None) -> None:
        """What is in force, its history, and an end for what was in force."""
        history = keys.history(kind, name)
        pipe.set(keys.now(kind, name), orjson.dumps(record))
        pipe.lpush(history, orjson.dumps({k: v for k, v in record.items() if k not in {"value", "sum"}}))
        pipe.ltrim(history, 0, _HISTORY - 1)
        old = _version(before)
        if old and old != record["version"]:
            pipe.expire(keys.contents(kind, name, old), KEPT_S)
            past = self.client.lrange(history, 0, -1)
            distinct = dict.fromkeys([record["version"], *(orjson.loads(r)["version"] for r in past)])
            too_old = list(distinct)[KEPT_VERSIONS:]
            if too_old:
                pipe.unlink(*(keys.contents(kind, name, v) for v in too_old))

    def _about(self, note: str) -> dict[str, Any]:
        return {"at_ms": time.time_ns() // 1_000_000, "by": self._by, "note": note[:500]}


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


def _resumed(record: dict[str, Any]) -> ListVersion:
    return ListVersion.resumed(record["entries"], record["sum"])


def _checked(entry: str) -> str:
    try:
        return check_entry(entry)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _parts(entries: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(entries)
    while part := [_checked(entry) for entry in islice(rest, PART)]:
        yield part


def _version(record: dict[str, Any] | None) -> str:
    return "" if record is None else str(record["version"])


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:  # a container's user may have no name
        return "unknown"


@contextmanager
def _server_errors() -> Iterator[None]:
    try:
        yield
    except WatchError:
        raise
    except RedisError as error:
        raise ServerError(f"the cache failed: {error}", "nothing was changed that is in force; try again") from error
