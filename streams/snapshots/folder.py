"""Snapshots as files: the default, and enough while all workers share a folder.

    <folder>/<partition>/claim-0000000007                        empty; the highest number owns the partition
    <folder>/<partition>/0000000007-0000000042.snapshot          generation, sequence

No lock: a worker that is paused while it holds one would stop its successor for ever. Claims are made by creating a file that
must not exist, snapshots by renaming a finished one; of two owners the higher generation wins whatever the order of writing.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from streams.durable import create, private_folder, replace, sync_folder
from streams.snapshots.store import KEPT, Saved, StoreError, SupersededError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CLAIM = re.compile(r"claim-(\d{10})")
_SNAPSHOT = re.compile(r"(\d{10})-(\d{10})\.snapshot")


class FolderStore:
    """See :class:`SnapshotStore`.

    Args:
        folder: of one group on one cluster; made when missing, for the owner alone (0700, files 0600).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = str(folder)

    def claim(self, partition: int, mine: int | None = None) -> int:
        """See :class:`SnapshotStore`."""
        folder = self._folder / str(partition)
        try:
            private_folder(folder)
            while True:
                claims = _claims(folder)
                # Snapshots count as well: whoever brings them back from elsewhere may not have brought the claim.
                owner = max([*claims, *(_numbers(name)[0] for name in _snapshots(folder))], default=0)
                if owner == mine and owner in claims:
                    return owner
                with suppress(FileExistsError):  # another was faster: look again
                    create(folder / f"claim-{owner + 1:010}", b"")
                    sync_folder(folder)
                    if max(_claims(folder)) == owner + 1:
                        _tidy(folder, owner)
                        return owner + 1
                    # What we saw was long ago: that generation has been given and tidied away meanwhile.
        except OSError as error:
            raise self._failed("written", error) from error

    def load(self, partition: int) -> Iterator[Saved]:
        """See :class:`SnapshotStore`."""
        folder = self._folder / str(partition)
        try:
            for name in reversed(_snapshots(folder)):
                path = folder / name
                with suppress(FileNotFoundError):  # an owner before us has tidied up meanwhile
                    yield Saved(str(path), path.read_bytes())
        except OSError as error:
            raise self._failed("read", error) from error

    def check(self, partition: int, generation: int) -> None:
        """See :class:`SnapshotStore`."""
        try:
            _refuse_former_owner(self._folder / str(partition), generation)
        except OSError as error:
            raise self._failed("read", error) from error

    def save(self, partition: int, generation: int, data: bytes) -> None:
        """See :class:`SnapshotStore`."""
        folder = self._folder / str(partition)
        try:
            private_folder(folder)
            _refuse_former_owner(folder, generation)
            before = _snapshots(folder)
            last = max((_numbers(name) for name in before), default=(0, 0))
            name = f"{generation:010}-{last[1] + 1:010}.snapshot"
            replace(folder / name, data)
            for old in [name for name in before if _numbers(name)[0] <= generation][: -(KEPT - 1)]:
                (folder / old).unlink(missing_ok=True)
        except OSError as error:
            with suppress(OSError):  # a new owner's claim removes what a former one has half written
                _refuse_former_owner(folder, generation)
            raise self._failed("written", error) from error

    def close(self) -> None:
        """See :class:`SnapshotStore`."""

    def _failed(self, done: str, error: OSError) -> StoreError:
        return StoreError(
            f"snapshots in {self._folder} cannot be {done}: {error.strerror or error}",
            "see to the disk's space and the folder's permissions, or set M1CEP_STATE_DIR to another folder",
        )


def _refuse_former_owner(folder: Path, generation: int) -> None:
    owner = max(_claims(folder), default=0)
    if owner != generation:
        raise SupersededError(
            f"partition {folder.name} belongs to another worker now (generation {owner}, this one's is {generation})",
            "nothing of it was saved; start the worker again if it is to take part",
        )


def _tidy(folder: Path, former_owner: int) -> None:
    """Remove claims that no longer count, and files that a kill left half written.

    The former owner's claim stays until the next time: who reads the folder while names come and go sees one of the newest two.
    """
    for name in _names(folder):
        found = _CLAIM.fullmatch(name)
        if name.startswith(".") or (found and int(found[1]) < former_owner):
            (folder / name).unlink(missing_ok=True)


def _claims(folder: Path) -> list[int]:
    return [int(found[1]) for name in _names(folder) if (found := _CLAIM.fullmatch(name))]


def _snapshots(folder: Path) -> list[str]:
    """Names, the oldest first."""
    return sorted(name for name in _names(folder) if _SNAPSHOT.fullmatch(name))


def _numbers(name: str) -> tuple[int, int]:
    generation, sequence = name.removesuffix(".snapshot").split("-")
    return int(generation), int(sequence)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
