"""Keeps Python's recursion limit where it is while a library is imported.

py-evm and py_ecc raise it to 100,000 for the whole process. Whatever reads nested values by recursion in C, as msgspec does, then
no longer stops in time: a record nested ten thousand deep would end the process instead of being refused.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def usual_recursion_limit() -> Iterator[None]:
    """As it was before, whatever is imported inside."""
    before = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
