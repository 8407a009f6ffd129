"""Lists and parameters on the disk, by version: known last where the cache is away at a start, and found again after a crash.

<folder>/known.json             version by label of what was in force in the cache last
<folder>/KIND/NAME/VERSION      one entry a line of a list, else JSON

A file is trusted when its contents have the version that its name says.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import structlog

from m1cep.runtime.versions import ListVersion
from streams import durable
from streams.cache.content import Content, Entry
from streams.cache.documents import decoded, encoded
from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_log = structlog.get_logger(__name__)

#: Of a list; each worker of this folder may need the one before for the second that it takes to save a snapshot.
_VERSIONS = 8


class Kept:
    """A folder of versions. What the disk does not take is logged and done without: rules go on from memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, content: Content, *, of_cache: bool = True) -> None:
        """Keep all of this; ``of_cache``: as what the cache had last, which it must have again."""
        try:
            for label, entry in content.entries.items():
                self._save(label, entry)
            if not of_cache:
                return
            known = orjson.dumps(self._known() | content.versions(), option=orjson.OPT_SORT_KEYS)
            durable.private_folder(self._folder)
            durable.replace(self._folder / "known.json", known)
        except OSError as error:
            _log.error("lookups.not_kept", folder=str(self._folder), reason=str(error))

    def last(self, labels: frozenset[str]) -> Content:
        """What was known last, of these; not current."""
        known = {label: version for label, version in self._known().items() if label in labels}
        found = {label: self.find(label, version) for label, version in known.items()}
        return Content({label: entry for label, entry in found.items() if entry is not None}, current=False)

    def find(self, label: str, version: str) -> Entry | None:
        """What had that version."""
        kind, _, name = label.partition(" ")
        try:
            raw = (self._folder / kind / name / version).read_bytes()
            value: Any
            if kind == "list":
                value = frozenset(raw.decode("utf-8", "surrogatepass").splitlines())
                is_so = ListVersion(value).text
            else:
                is_so, value = decoded(kind, orjson.loads(raw))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, UsageError) as error:
            _log.warning("lookups.unreadable", label=label, version=version, reason=str(error))
            return None
        if is_so != version:
            _log.warning("lookups.damaged", label=label, version=version)
            return None
        return Entry(version, value)

    def _known(self) -> dict[str, str]:
        try:
            return msgspec.json.decode((self._folder / "known.json").read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}

    def _save(self, label: str, entry: Entry) -> None:
        kind, _, name = label.partition(" ")
        folder = self._folder / kind / name
        if (folder / entry.version).exists():
            return
        durable.private_folder(folder)
        if kind == "list":
            data = "\n".join(sorted(entry.value)).encode("utf-8", "surrogatepass")
        else:
            data = orjson.dumps(encoded(kind, entry.value)[1], default=str)
        durable.replace(folder / entry.version, data)
        files = sorted((f for f in folder.iterdir() if not f.name.startswith(".")), key=lambda f: f.stat().st_mtime_ns)
        for old in files[:-_VERSIONS]:
            with suppress(FileNotFoundError):  # another worker tidies up too
                old.unlink()
