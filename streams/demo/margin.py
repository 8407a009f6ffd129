"""Reports on margin: what each account is worth, and must be worth, told of one account after the other without a pause.

Accounts seldom do anything, as in life: seconds lie between two of their events, and whatever else comes waits for them, by event
time. A platform that reports on margin has no such gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from streams.demo.market import Timed
    from streams.demo.population import Population

MAINTENANCE = 0.3  # of what an account is worth at first: nobody here comes near a margin call
_STEP = 0.002  # by which its worth changes from one report to the next, at most
_MOST = 0.05  # by which it ever differs from the first: no loss that a rule would tell of


def margin_updates(
    rng: random.Random, people: Population, start_ms: int, end_ms: int, every_ms: int
) -> Iterator[Timed]:
    """Events of the ``accounts`` stream by event time; of each account one in ``every_ms``."""
    everyone = people.everyone
    change = dict.fromkeys((account.id for account in everyone), 0.0)
    number = 0
    while (ts := start_ms + number * every_ms // len(everyone)) < end_ms:
        account = everyone[number % len(everyone)]
        moved = change[account.id] + _STEP * (2 * rng.random() - 1)
        change[account.id] = max(-_MOST, min(_MOST, moved))
        number += 1
        yield ts, "accounts", {
            "event_id": f"syn-m{number}",
            "account": account.id,
            "kind": "margin_update",
            "equity_usd": round(account.balance_usd * (1 + change[account.id]), 2),
            "maintenance_usd": round(account.balance_usd * MAINTENANCE, 2),
            "ts": ts,
        }  # fmt: skip
