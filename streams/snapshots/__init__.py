"""Snapshots of partitions: ``content`` (the bytes), ``store`` (what keeps them), ``folder`` and ``postgres`` (two of those).

store = open_store(settings.state_url, settings.state_dir, cluster, group)
"""

from streams.snapshots.choose import open_store
from streams.snapshots.content import PartitionSnapshot, SnapshotError, decode, encode
from streams.snapshots.folder import FolderStore
from streams.snapshots.store import KEPT, Saved, SnapshotStore, StoreError, SupersededError

__all__ = [
    "KEPT",
    "FolderStore",
    "PartitionSnapshot",
    "Saved",
    "SnapshotError",
    "SnapshotStore",
    "StoreError",
    "SupersededError",
    "decode",
    "encode",
    "open_store",
]
