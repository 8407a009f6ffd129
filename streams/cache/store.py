"""Writing to the cache: a list changes whole or not at all, under a new version, and the old one stays for a while.

    staging ── SADD … ──▶ m1cep:list:NAME:VERSION ──▶ MULTI: m1cep:now:list:NAME, history ──▶ invalidations to all who track it

Entries come from an iterator and are never held together; the version is worked out while they pass.
"""

from __future__ import annotations

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
from streams.cache.in_force import PART, InForce, server_errors, version_of
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


MAX_ENTRY = 1_000  # characters
_STAGING_S = 3_600
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


class Store(InForce):
    """Lists, parameters and templates in the cache."""

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
        with self._staging(name) as staging, server_errors():
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
        return Published(name, version.text, version_of(before), version.count, repeated)

    def change_list(self, name: str, add: Iterable[str] = (), remove: Iterable[str] = (), note: str = "") -> Published:
        """Add and remove entries; those that are there already, or are not, make no difference.

        Raises:
            UsageError: there is no such list.
            ShellError: somebody else changes it all the time.
            ServerError: the cache failed; nothing has changed.
        """
        gone = list(remove)
        added, removed = set(map(_checked, add)), {*map(_checked, gone), *gone}  # also as an older version wrote it
        with server_errors():
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
        with server_errors():
            version = version or version_of(self.required("list", name))
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
        with server_errors():
            before = self.now(kind, name)
            record = {"version": version, "value": document} | self.about(note)
            pipe = self.client.pipeline(transaction=True)
            pipe.set(keys.contents(kind, name, version), orjson.dumps(document))
            self.note(pipe, kind, name, record, before)
            pipe.execute()
        return Published(name, version, version_of(before))

    def value(self, kind: str, name: str, version: str = "") -> Any:
        """The JSON document of a parameter, a rule's values or a template; of the version in force by default.

        Raises:
            UsageError: there is no such thing, or not in that version.
        """
        with server_errors():
            record = self.required(kind, name)
            if version in {"", record["version"]}:
                return record["value"]
            raw = self.client.get(keys.contents(kind, name, version))
            if raw is None:
                raise UsageError(f"version {version!r} of {kind} {name!r} is not in the cache")
            return orjson.loads(raw)

    # -- within ------------------------------------------------------------------------------------------------------

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
        record = {"version": version.text, "entries": version.count, "sum": version.state} | self.about(note)
        with self.client.pipeline(transaction=True) as pipe:
            # A RENAME that fails would not keep the rest from happening.
            pipe.watch(staging, *([keys.now("list", name)] if only_from else []))
            if pipe.scard(staging) != version.count or (only_from and version_of(self.now("list", name)) != only_from):
                raise WatchError
            pipe.multi()
            if version.count:
                pipe.rename(staging, key)
                pipe.persist(key)
            self.note(pipe, "list", name, record, before)
            pipe.execute()


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
