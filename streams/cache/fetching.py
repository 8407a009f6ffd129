"""Versions out of the cache: what a record says is in force, checked; of a long list that is known only what is different."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from redis import RedisError

from m1cep.runtime.addresses import look_ahead
from m1cep.runtime.versions import ListVersion
from streams.cache import keys
from streams.cache.address import open_client
from streams.cache.content import Entry
from streams.cache.documents import decoded
from streams.cache.in_force import PART
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr
    from redis import Redis

ANSWER_S = 2.0


class LostError(ShellError):
    """The cache no longer has what it had, or what it has is not what its version says."""


class Versions:
    """Reads them; remembers the sums of the lists that it has read last.

    Args:
        url: of the cache.
        goes_on: told while a long list is being read.
    """

    def __init__(self, url: SecretStr, goes_on: Callable[[], None]) -> None:
        self._url, self._goes_on = url, goes_on
        self._summed: dict[str, ListVersion] = {}  # by label

    def read(self, client: Redis, label: str, record: Mapping[str, Any], known: Entry | None) -> Entry:
        """What the record of a label says is in force.

        Raises:
            LostError: the cache has something else.
        """
        kind = label.partition(" ")[0]
        version = str(record["version"])
        if kind != "list":
            is_so, value = decoded(kind, record["value"])
        else:
            value, found = self._list(client, label, version, known)
            is_so = found.text
        if is_so != version:
            raise LostError(
                f"{label} in the cache is not what its version {version} says, but {is_so}", "import it again"
            )
        return Entry(version, value)

    def _list(self, client: Any, label: str, version: str, known: Entry | None) -> tuple[frozenset[str], ListVersion]:
        """The entries of a version, and what their version is: of a list that is known in another only what is different."""
        name = label.partition(" ")[2]
        key, summed = keys.contents("list", name, version), self._summed.get(label)
        if known is not None and summed is not None and summed.text == known.version:
            old = keys.contents("list", name, known.version)
            if client.exists(old, key) == len({old, key}):
                gone, come = client.sdiff(old, key) & known.value, client.sdiff(key, old) - known.value
                now = ListVersion.resumed(summed.count, summed.state)
                for entry in gone:
                    now.remove(entry)
                for entry in come:
                    now.add(entry)
                if now.text == version:
                    self._summed[label] = now
                    value: frozenset[str] = (known.value - gone if gone else known.value) | come
                    look_ahead(value, known.value, come)  # here: no engine is to wait for it
                    return value, now
        entries: set[str] = set()
        whole = ListVersion()
        for entry in client.sscan_iter(key, count=PART):
            if entry not in entries:  # one may come twice while the server rearranges the set
                entries.add(entry)
                whole.add(entry)
                if whole.count % PART == 0:
                    self._goes_on()
        self._summed[label] = whole
        found = frozenset(entries)
        look_ahead(found)
        return found, whole

    def past(self, label: str, version: str) -> Entry | None:
        """What had a version, while the cache still has it."""
        kind, _, name = label.partition(" ")
        try:
            with open_client(self._url, timeout_s=ANSWER_S) as client:
                if kind == "list":
                    entries: frozenset[str] = frozenset(
                        client.sscan_iter(keys.contents(kind, name, version), count=PART)
                    )
                    return Entry(version, entries) if ListVersion(entries).text == version else None
                raw: Any = client.get(keys.contents(kind, name, version))
                return (
                    None
                    if raw is None
                    else self.read(client, label, {"version": version, "value": orjson.loads(raw)}, None)
                )
        except (RedisError, OSError, ShellError, ValueError):
            return None
