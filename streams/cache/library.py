"""Where a worker's lists and parameters come from: the cache when there is one, else a folder that is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from m1cep import FixedLookups
from streams.cache.content import Content, Pinned, content_of, wanted_by
from streams.cache.kept import Kept
from streams.lookups import load_lookups

__all__ = ["Library", "Still", "as_library", "open_library", "wanted_by"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m1cep import Lookups
    from streams.cache.copies import Copies
    from streams.config import Settings


class Library(Protocol):
    """Lists and parameters with versions."""

    @property
    def now(self) -> Content:
        """What is in force."""

    def find(self, versions: Mapping[str, str], *, current: bool) -> tuple[Content, list[str]]:
        """What was in force when these versions were, and the labels of those that are nowhere any more; may wait as ``want``."""

    def want(self, labels: Iterable[str]) -> None:
        """From now on have these too, as far as they are there; may wait for the cache: never from an event loop."""

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, perhaps from another thread, after each change."""


class Still(Pinned):
    """What does not change while we run; earlier versions are found on the disk. Also what an engine takes for its ``lookups``.

    Args:
        content: in force.
        kept: where it is kept, for the time after a crash; None: nowhere.
        more: what may be wanted later.
    """

    def __init__(self, content: Content, kept: Kept | None = None, more: Content | None = None) -> None:
        super().__init__(content)
        self.now = content
        self._more = Content() if more is None else more
        self._kept = kept
        if kept is not None:
            kept.save(content, of_cache=False)

    def find(self, versions: Mapping[str, str], *, current: bool) -> tuple[Content, list[str]]:
        """See :class:`Library`."""
        found, lost = dict(self.now.entries), []
        for label, version in versions.items():
            known = found.get(label)
            if known is not None and known.version == version:
                continue
            entry = self._kept.find(label, version) if self._kept else None
            if entry is None:
                lost.append(label)
            else:
                found[label] = entry
        return Content(found, current=current), lost

    def want(self, labels: Iterable[str]) -> None:
        """See :class:`Library`."""
        more = {label: self._more.entries[label] for label in labels if label in self._more.entries}
        if found := {label: entry for label, entry in more.items() if label not in self.now.entries}:
            self.now = Content({**self.now.entries, **found})
            self.set(self.now)
            if self._kept is not None:
                self._kept.save(self.now)

    def on_change(self, tell: Callable[[], None]) -> None:
        """It does not, but for what is wanted later, which partitions take over by themselves."""

    def close(self) -> None:
        """Nothing is open."""


def as_library(lookups: Lookups | Library | None) -> Library:
    """What an agent was given, as a library."""
    if lookups is None:
        return Still(Content())
    if isinstance(lookups, FixedLookups):
        return Still(content_of(lookups))
    return cast("Library", lookups)


def open_library(settings: Settings, wanted: Iterable[str], *, keep: bool = True) -> Still | Copies:
    """The library of a worker; must be closed.

    Args:
        settings: with the folder, and the cache if there is one.
        wanted: labels of what is read, see ``wanted_by``.
        keep: whether versions are written to the disk, for the time after a crash.

    Raises:
        UsageError: the folder or the cache's address is wrong.
        ServerError: the cache is away, and nothing is known from before.
    """
    wanted = frozenset(wanted)
    folder = content_of(load_lookups(settings.lookups))
    base = Content({label: entry for label, entry in folder.entries.items() if label in wanted})
    if settings.cache_url is None:
        return Still(base, Kept(settings.state_dir / "lookups") if keep and base.entries else None, folder)
    from streams.cache.address import cache_url
    from streams.cache.copies import Copies

    return Copies(cache_url(settings), wanted, folder, Kept(settings.state_dir / "lookups") if keep else None).start()
