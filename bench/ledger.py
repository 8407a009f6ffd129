"""How fast the ledger books, against bare inserts of as many rows into as bare a table, on one embedded PostgreSQL.

    python bench/ledger.py [--events 20000] [--batch 2000] [--rounds 3]

Both commit as often, synchronously. Every round does both, so that the ratio says something on a busy machine too. Seconds are
the clock's; "of ours" is processor time of this process alone: reading events, deciding, and speaking to the database.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ledgerhouse import CHART, FILLS, Database, Keeper, Topic, fill

from m1cep.ledger import Books
from m1cep.ledger.events import fill_postings
from streams.embedded import EmbeddedPostgres

BARE = """
DROP TABLE IF EXISTS public.bare;
CREATE TABLE public.bare (posting text, leg int, debit uuid, credit uuid, asset text, units numeric);
GRANT ALL ON public.bare TO m1cep_ledger
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=2_000, help="events in a transaction")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    events = [fill(n, account=f"desk-{n % 500}", side=("buy", "sell")[n % 2]) for n in range(options.events)]
    core(events)
    folder = Path(tempfile.mkdtemp(prefix="m1cep-bench-"))
    folder.chmod(0o711)
    with EmbeddedPostgres(folder) as postgres:
        ratios = []
        for number in range(options.rounds):
            booked_s, ours_s = booked(Database(postgres), events, options.batch)
            bare_s = bare(Database(postgres), events, options.batch)
            ratios.append(booked_s / bare_s)
            print(
                f"round {number + 1}: {options.events / booked_s:,.0f} events/s, "
                f"{3 * options.events / booked_s:,.0f} transfers/s, "
                f"{1e6 * ours_s / options.events:.0f} us of ours an event; bare inserts of the transfers {bare_s:.2f} s, "
                f"booking {booked_s:.2f} s: {booked_s / bare_s:.2f} times"
            )
        print(
            f"booking takes {statistics.median(ratios):.2f} times as long as bare inserts (median of {options.rounds})"
        )


def core(events: list[dict[str, object]]) -> None:
    """The core alone: processor time an event."""
    values = [json.dumps(event).encode() for event in events]
    started_s = time.process_time()
    postings = [posting for value in values for posting in fill_postings(value, CHART)]
    read_s = time.process_time() - started_s
    books = Books(CHART)
    for posting in postings:
        books.post(posting)
    posted_s = time.process_time() - started_s - read_s
    print(
        f"the core: reading {1e6 * read_s / len(events):.0f} us, posting {1e6 * posted_s / len(events):.0f} us a fill"
    )


def booked(database: Database, events: list[dict[str, object]], batch: int) -> tuple[float, float]:
    """Seconds to book the events, and of them processor time of this process."""
    topic = Topic()
    topic.add(FILLS, *events)
    keeper = Keeper(database, topic)
    keeper.books.open()
    started_s, ours_s = time.perf_counter(), time.process_time()
    keeper.run(most=batch)
    took = time.perf_counter() - started_s, time.process_time() - ours_s
    assert keeper.books.tally.posted == len(events), keeper.books.tally
    keeper.close()
    return took


def bare(database: Database, events: list[dict[str, object]], batch: int) -> float:
    """Seconds to insert three rows an event into a table without keys, indexes or checks."""
    with database.as_admin() as admin:
        admin.execute("GRANT CREATE, USAGE ON SCHEMA public TO m1cep_owner")
        admin.execute(BARE)
    some = "00000000-0000-0000-0000-000000000000"
    started_s = time.perf_counter()
    with database.writers[0]() as writer:
        for begin in range(0, len(events), batch):
            names = [str(event["event_id"]) for event in events[begin : begin + batch] for _ in range(3)]
            rows = (
                names,
                [1] * len(names),
                [some] * len(names),
                [some] * len(names),
                ["USD"] * len(names),
                [12345] * len(names),
            )
            writer.execute(
                "INSERT INTO public.bare SELECT * FROM unnest(%s::text[], %s::int[], %s::uuid[], %s::uuid[], %s::text[], "
                "%s::numeric[])",
                rows,
            )
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
