"""Which shard has an account's books: by a hash of its name, so that every process says the same."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 16)
def shard_of(owner: str, count: int) -> int:
    """The number, from 0, of the shard of whoever owns an account; of ``count`` shards."""
    digest = blake2b(owner.encode(), digest_size=8, person=b"m1cep.shard").digest()
    return int.from_bytes(digest) % count
