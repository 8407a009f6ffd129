"""Rules that ask lists and parameters against the same rules with constants, in turns: python bench/lists.py [--rounds N]

The list has 100,000 accounts and lies in the embedded cache; the engine reads its local copy. In the last line entries are added
and removed in the cache all the time, and the engine takes each change over between two batches. Engine alone, on decoded rows;
processor time of the process, the thread that follows the cache with it. Then how long a change takes to be seen. Then the rule
sanctions-hit in a replay where every address is a new one, so each look into the list waits for memory; the last in capitals.
"""

from __future__ import annotations

import argparse
import gc
import io
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from common import median, percentile

import m1cep
from m1cep import Engine, FixedLookups, Parameter
from streams.cache.address import open_client
from streams.cache.copies import Copies
from streams.cache.store import Store
from streams.embedded import EmbeddedCache
from streams.files import load_streams
from streams.logs import configure_logs
from streams.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS, ENTRIES, BATCH = 200_000, 100_000, 2_000
STREAMS = m1cep.parse_streams(
    """CREATE TABLE orders (event_id STRING NOT NULL, account STRING NOT NULL, qty DOUBLE NOT NULL, ts TIMESTAMP(3) NOT NULL,
       WATERMARK FOR ts AS ts) PARTITIONED BY (account) WITH ('topic' = 'orders')"""
)
_PATTERN = """SELECT * FROM orders MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES A.event_id AS a ONE ROW PER MATCH
 AFTER MATCH SKIP PAST LAST ROW PATTERN (A B) WITHIN INTERVAL '1' MINUTE DEFINE A AS {}, B AS B.qty > A.qty)"""
#: A condition on a constant, and the same on what lies in the cache. Each is true of one event in a hundred.
PAIRS = {
    "filter: = constant": (
        "SELECT account FROM orders WHERE account = 'a7'",
        "SELECT account FROM orders WHERE IN_LIST('bad', account)",
    ),
    "filter: IN constants": (
        "SELECT account FROM orders WHERE account IN ('a7', 'b1', 'b2')",
        "SELECT account FROM orders WHERE IN_LIST('bad', account)",
    ),
    "filter: NOT IN": (
        "SELECT account FROM orders WHERE account NOT IN ('a7', 'b1', 'b2') AND qty > 98.5",
        "SELECT account FROM orders WHERE NOT IN_LIST('bad', account) AND qty > 98.5",
    ),
    "pattern: = constant": (_PATTERN.format("A.account = 'a7'"), _PATTERN.format("IN_LIST('bad', A.account)")),
    "PARAM('max')": ("SELECT account FROM orders WHERE qty > 98.5", "SELECT account FROM orders WHERE qty > PARAM('max')"),
    "PARAM('max', account)": (
        "SELECT account FROM orders WHERE qty > 98.5",
        "SELECT account FROM orders WHERE qty > PARAM('max', account)",
    ),
    ":max, changed in the cache": (
        "SELECT account FROM orders WHERE qty > 98.5",
        "/*\nid: own\nparams: {max: 1.0}\n*/\nSELECT account FROM orders WHERE qty > :max",
    ),
}  # fmt: skip

#: The packaged rule sanctions-hit, on a constant and on the list.
SANCTIONS = (
    "SELECT account, kind, address, asset, amount_usd, ts FROM accounts "
    "WHERE kind IN ('deposit', 'address_whitelisted', 'withdrawal_requested', 'withdrawal') AND {}"
)
KINDS = ("login", "deposit", "withdrawal", "withdrawal_requested")


def rows() -> list[list[Any]]:
    """Decoded rows in batches."""
    stream = STREAMS["orders"]
    events = [
        {"event_id": f"e{n}", "account": f"a{n * 7919 % 100}", "qty": float(n * 104_729 % 9_973 % 100), "ts": n}
        for n in range(EVENTS)
    ]
    found = stream.decode_each(events)
    return [found[at : at + BATCH] for at in range(0, len(found), BATCH)]


def run(sql: str, copies: Copies, batches: list[list[Any]]) -> tuple[float, int]:
    """Processor seconds and alerts of one engine over all rows."""
    engine = Engine([m1cep.compile_rule(sql, STREAMS)], copies)
    gc.collect()
    started_s, alerts = time.process_time(), 0
    for batch in batches:
        alerts += len(engine.push_rows("orders", list(batch)))
    return time.process_time() - started_s, alerts


def compare(name: str, copies: Copies, batches: list[list[Any]], rounds: int) -> None:
    """Print one line: the ratio is the median of those of the turns."""
    ratios, rates = [], []
    for _ in range(rounds):
        (constant_s, expected), (listed_s, found) = (run(sql, copies, batches) for sql in PAIRS[name])
        assert expected == found > 0, (name, expected, found)
        ratios.append(listed_s / constant_s)
        rates.append(EVENTS / listed_s)
    _print(name, rates, ratios)


def _print(name: str, rates: list[float], ratios: list[float]) -> None:
    print(f"{name:<30} {median(rates):>14,.0f} {median(ratios):>10.2f} {min(ratios):>8.2f} {max(ratios):>8.2f}")


def compare_replay(entries: int, spelt: Callable[[str], str], rounds: int) -> None:
    """Print one line: `m1cep replay` of account events, three of four with an address that never came before."""
    chance = random.Random(entries)
    listed = [_address(chance) for _ in range(entries)]
    streams = load_streams()
    lookups = FixedLookups(lists={"bad": listed})
    lookups.versions()
    lines = [
        msgspec.json.encode(
            {
                "event_id": f"e{n}",
                "account": f"a{n % 1000}",
                "kind": KINDS[n % 4],
                "asset": "USDT",
                "amount_usd": n % 1000 + 0.25,
                "ts": n,
            }
            | ({"address": spelt(_address(chance))} if n % 4 else {})
        )
        for n in range(EVENTS)
    ]
    file = b"\n".join(lines)

    def taken_s(condition: str) -> float:
        rule = m1cep.compile_rule(SANCTIONS.format(condition), streams)
        gc.collect()
        started_s = time.process_time()
        replay([rule], {"accounts": (streams["accounts"], io.BytesIO(file))}, on_alert=lambda _: None, lookups=lookups)
        return time.process_time() - started_s

    ratios, rates = [], []
    for _ in range(rounds):
        constant_s, listed_s = (taken_s(c) for c in (f"address = '{listed[0]}'", "IN_LIST('bad', address)"))
        ratios.append(listed_s / constant_s)
        rates.append(EVENTS / listed_s)
    _print(f"replay: of {entries:,}", rates, ratios)


def _address(chance: random.Random) -> str:
    return f"0x{chance.getrandbits(160):040x}"


def seen_after_ms(store: Store, copies: Copies, times: int) -> list[float]:
    """How long after the cache has acknowledged a change the copy has it."""
    found = []
    for n in range(times):
        store.change_list("bad", add=[f"seen{n}"])
        started_s = time.perf_counter()
        while f"seen{n}" not in (copies.members("bad") or ()):
            time.sleep(0.0002)
        found.append((time.perf_counter() - started_s) * 1000)
    return sorted(found)


def _keep_changing(store: Store, stop: threading.Event) -> None:
    n = 0
    while not stop.wait(0.05):
        n += 1
        store.change_list("bad", add=[f"c{n}"], remove=[f"c{n - 1}"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    configure_logs("error")
    batches = rows()
    wanted = ("list bad", "param max", "rule own")
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCache(Path(folder)) as cache,
        open_client(cache.url) as client,
    ):
        store = Store(client)
        store.replace_list("bad", ("a7", *(f"account-{n}" for n in range(ENTRIES - 1))))
        store.set_value("param", "max", Parameter(98.5, {f"other{n}": 1.0 for n in range(1_000)}))
        store.set_value("rule", "own", {"max": 98.5})
        with Copies(cache.url, wanted).start() as copies:
            print(f"{'against the same with constants':<30} {'events/s':>14} {'ratio':>10} {'min':>8} {'max':>8}")
            for name in PAIRS:
                compare(name, copies, batches, options.rounds)
            stop = threading.Event()
            changing = threading.Thread(target=_keep_changing, args=(store, stop), daemon=True)
            changing.start()
            before = copies.revision
            compare("filter: = constant", copies, batches, options.rounds)
            stop.set()
            changing.join()
            print(f"(the last line while the list changed {copies.revision - before} times)")
            times = seen_after_ms(store, copies, 50)
            p50, p99 = (percentile(times, share) for share in (0.5, 0.99))
            print(f"a change to {ENTRIES:,} entries is seen after ms: p50 {p50:.1f}, p99 {p99:.1f}")
    for entries in (1_000, 20_000, ENTRIES):  # OFAC's list has some 1,000 addresses, and some 20,000 names
        compare_replay(entries, str, options.rounds)
    compare_replay(20_000, str.upper, options.rounds)


if __name__ == "__main__":
    main()
