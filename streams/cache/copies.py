"""Local copies of what is in force, kept fresh by the server; the reader never waits.

    a thread:  connect ─▶ CLIENT TRACKING ON BCAST ─▶ read all ─▶ ┌─ invalidation: read those again ─┐
                  ▲                                               └─ silence: PING, or it is away    ┘
                  └───────────────── away: what was known last goes on, ``current`` is False after the grace

Invalidations are lost with the connection, so everything is read again after each one. What the cache has lost (it was
emptied, or another one answers) counts as away: nothing ever leaves a list because the cache is empty.
What a connection is told is in ``tracking``, what a version is in ``fetching``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from streams.cache import keys
from streams.cache.address import open_client, public_address, unreachable
from streams.cache.content import Content, Entry
from streams.cache.fetching import ANSWER_S, LostError, Versions
from streams.cache.tracking import Tracking
from streams.errors import ShellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import Self

    from pydantic import SecretStr
    from redis import Redis

    from m1cep import Parameter
    from streams.cache.kept import Kept

_log = structlog.get_logger(__name__)

_BACKOFF_S = (0.05, 1.0)
_LOOK_S = 0.05


class Copies:
    """Lists, parameters and values of rules as they are in the cache; also what an engine takes for its ``lookups``.

    Args:
        url: of the cache.
        wanted: labels of what is to be kept here, such as ``list sanctions``.
        base: for names that the cache does not have, usually from a folder.
        kept: where it is kept for a start without the cache.
        grace_s: after so long without an answer what is known counts as no longer ``current``.
    """

    def __init__(
        self,
        url: SecretStr,
        wanted: Iterable[str],
        base: Content | None = None,
        kept: Kept | None = None,
        grace_s: float = 2.0,
    ) -> None:
        self.address = public_address(url)
        self._url = url
        self._wanted = frozenset(wanted)
        self._folder = dict((base or Content()).entries)
        self._base = {k: v for k, v in self._folder.items() if k in self._wanted}
        self._unread: frozenset[str] = frozenset()  # wanted since the thread has last looked
        self._read_on = threading.Event()
        self._kept = kept
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._known: dict[str, Entry] = {}  # of the cache alone
        self._versions = Versions(url, self._still_reading)  # of the thread; ``past`` of whoever asks
        self._unsaved = False
        self._now = Content(self._base, current=False)
        self._revision = 0
        self._listeners: list[Callable[[], None]] = []
        self._loaded = threading.Event()
        self._closing = threading.Event()
        self._answered_s = time.monotonic()
        self._reading = False
        self._read_s = 0.0  # when something of a long list came last
        self._thread = threading.Thread(target=self._run, name="m1cep-cache", daemon=True)
        self.invalidations = 0
        self.connections = 0
        self.hits = self.misses = 0  # of what is wanted, whether the cache had it when it was asked
        self.trouble = ""  # why it is away

    # -- for readers -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Content:
        """What is in force as far as is known here."""
        return self._now

    @property
    def revision(self) -> int:
        """Another number whenever ``now`` has changed."""
        return self._revision

    @property
    def current(self) -> bool:
        """Of ``now``."""
        return self._now.current

    def members(self, name: str) -> AbstractSet[str] | None:
        """The entries of a list."""
        return self._now.members(name)

    def parameter(self, name: str) -> Parameter | None:
        """A parameter."""
        return self._now.parameter(name)

    def overrides(self, rule: str) -> Mapping[str, Any]:
        """Values for the rule's ``:name``."""
        return self._now.overrides(rule)

    def versions(self) -> Mapping[str, str]:
        """Version by label."""
        return self._now.versions()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, from another thread, after each change."""
        self._listeners.append(tell)

    def want(self, labels: Iterable[str]) -> None:
        """See :class:`streams.cache.library.Library`. Waits for two seconds at most."""
        with self._lock:
            more = frozenset(labels) - self._wanted
            if not more:
                return
            self._wanted |= more
            self._unread |= more
            self._read_on.clear()
        self._read_on.wait(ANSWER_S)  # away: what the folder has is all there is for now
        with self._lock:
            self._base = {k: v for k, v in self._folder.items() if k in self._wanted}
            self._set(replace(self._now, entries=self._base | self._known))

    def find(self, versions: Mapping[str, str], *, current: bool) -> tuple[Content, list[str]]:
        """What was in force when these versions were; may wait for the cache.

        Returns:
            The content, and the labels of those that are nowhere any more: of these it has what is in force now.
        """
        now, found, lost = self._now, dict(self._now.entries), []
        for label, version in versions.items():
            if label not in self._wanted or (label in found and found[label].version == version):
                continue
            entry = self._kept.find(label, version) if self._kept else None
            entry = entry or self._versions.past(label, version)
            if entry is None:
                lost.append(label)
            else:
                found[label] = entry
        return Content(found, current=current if versions else now.current), lost

    # -- life --------------------------------------------------------------------------------------------------------

    def start(self, timeout_s: float = 5.0) -> Self:
        """Return when the cache was read; without it, on what was known last.

        Args:
            timeout_s: for the cache to answer. A first reading that has begun by then may take as long as it goes on.

        Raises:
            ServerError: there is neither.
        """
        last = self._kept.last(self._wanted) if self._kept else Content()
        self._known = dict(last.entries)  # the cache must still have them
        self._thread.start()
        if self._loaded.wait(timeout_s) or self._goes_on(timeout_s):
            return self
        if not last.entries:
            self.close()
            raise unreachable(self._url, RuntimeError(self.trouble or "it does not answer"))
        _log.error("cache.away_at_start", cache=self.address, reason=self.trouble, known=last.versions())
        with self._lock:
            if not self._loaded.is_set():
                self._set(Content(self._base | self._known, current=False))
        return self

    def _goes_on(self, timeout_s: float) -> bool:
        """Whether the reading that is under way comes to its end; waits as long as it does not stand still."""
        connection = self.connections
        while self._reading and self.connections == connection and time.monotonic() - self._read_s < timeout_s:
            if self._loaded.wait(_LOOK_S):
                return True
        return self._loaded.is_set()

    def close(self) -> None:
        """Let go of the cache. What is known here stays."""
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(ANSWER_S * 2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff_s = _BACKOFF_S[0]
        while not self._closing.is_set():
            started_s = time.monotonic()
            for step in (self._follow, self._save, self._look_at_the_clock):
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - whatever it is, the next time may be better, and no other thread looks
                    self.trouble = str(error)
            if time.monotonic() - started_s > _BACKOFF_S[1]:
                backoff_s = _BACKOFF_S[0]
            self._closing.wait(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_S[1])

    def _follow(self) -> None:
        """One connection, until it ends."""
        with open_client(self._url, timeout_s=ANSWER_S) as client:
            tracking = Tracking(client)
            try:
                tracking.begin()
                self.connections += 1
                self._reading, self._read_s = True, time.monotonic()
                self._refresh(client, self._wanted)
                while not self._closing.is_set():
                    stale = tracking.wait()
                    if self._unread:  # first: somebody waits for it, and some list may change all the time
                        self._read_more(client)
                    if stale:
                        self.invalidations += len(stale)
                        labels = self._wanted if None in stale else {keys.label(key) for key in stale if key}
                        self._refresh(client, self._wanted & labels)
                    elif self._unsaved:
                        self._save()
                    self._answered()
            finally:
                self._reading = False
                tracking.close()

    def _read_more(self, client: Redis) -> None:
        with self._lock:
            more, self._unread = self._unread, frozenset()
        self._refresh(client, more)
        with self._lock:
            if not self._unread:  # else somebody has come meanwhile, whose are still to be read
                self._read_on.set()

    def _refresh(self, client: Redis, labels: AbstractSet[str]) -> None:
        """Read what is in force of these labels."""
        ordered = sorted(labels)
        raw: list[Any] = client.mget([keys.key_of(label) for label in ordered]) if ordered else []
        had = sum(text is not None for text in raw)
        self.hits, self.misses = self.hits + had, self.misses + len(raw) - had
        fresh: dict[str, Entry] = {}
        lost: LostError | None = None
        for label, text in zip(ordered, raw, strict=True):
            known = self._known.get(label)
            try:
                if text is not None:
                    record = orjson.loads(text)
                    if known is None or known.version != record["version"]:
                        fresh[label] = self._versions.read(client, label, record, known)
                elif known is not None:
                    raise LostError(f"the cache no longer has {label}, which it had", "import it again")
            except (ShellError, ValueError, KeyError, TypeError) as error:  # it must not keep others from changing
                lost = LostError(f"{label} in the cache cannot be used: {error}")
        with self._lock:
            self._known = self._known | fresh
            if fresh or (not lost and not self._now.current):
                self._set(Content(self._base | self._known, current=not lost or self._now.current))
        self._unsaved |= bool(fresh)
        if lost:
            raise lost
        self._answered()
        if not self._loaded.is_set():
            self._save()
            self._loaded.set()

    def _save(self) -> None:
        """When it is quiet: a long list that changes all the time is not written down each time; the cache has those."""
        if self._unsaved and self._kept:
            self._kept.save(Content(dict(self._known)))
        self._unsaved = False

    def _still_reading(self) -> None:
        self._read_s = time.monotonic()

    def _answered(self) -> None:
        self._answered_s = time.monotonic()
        self.trouble = ""

    def _look_at_the_clock(self) -> None:
        """What is known is no longer current when nobody has said so for too long."""
        if self._now.current and time.monotonic() - self._answered_s > self._grace_s:
            with self._lock:
                self._set(replace(self._now, current=False))
            _log.error("cache.away", cache=self.address, reason=self.trouble)

    def _set(self, content: Content) -> None:
        if content.current and not self._now.current:
            _log.info("cache.current", cache=self.address, versions=content.versions())
        self._now = content
        self._revision += 1
        for tell in self._listeners:
            tell()
