"""Of several events about one thing, which one counts: so that facts are the same in whatever order events come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from m1cep.custody.policy.events import DestinationListed, Spending


def close(closed: dict[str, int], key: str, time_ms: int) -> None:
    """Note when a thing ended; of several times the last."""
    closed[key] = max(time_ms, closed.get(key, 0))


def keep_larger(kept: dict[str, Any], key: str, event: Any) -> None:
    """Of two different events with one id keep the same one in whichever order they come."""
    known = kept.get(key)
    if known is None or msgspec.json.encode(event) > msgspec.json.encode(known):
        kept[key] = event


def listing_order(event: DestinationListed) -> tuple[int, bool, str]:
    """The highest counts: the newest, of one time the removal."""
    return event.time_ms, not event.listed, event.event_id


def spending_order(event: Spending) -> tuple[int, int, bytes]:
    """The highest counts: released over returned over reserved, then the newest."""
    return event.spent.rank, event.time_ms, msgspec.json.encode(event)
