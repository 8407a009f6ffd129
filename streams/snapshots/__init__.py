"""Snapshots of partitions: ``content`` (the bytes), ``store`` (what keeps them), ``folder`` (as files)."""

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
]
