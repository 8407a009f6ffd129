"""Rules deployed while events flow: how soon each is in force, and whether another rule misses or repeats an event.

    python bench/deploy.py [--rate 20000] [--deploys 20] [--packaged] [--json]

Processes: an embedded broker, a worker with a rule that alerts on every hundredth order (and the packaged rules, if asked for); a
producer that sends orders at a steady rate. Rules are deployed one after another. Two times are taken of each, both from the
moment before its record is sent: until the worker says that all its partitions run it, and until the first of its alerts is on
the topic (the broker's clock, of the same machine). In the end the alerts of the other rule must be those of the orders that
were sent, each once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
from common import median, percentile
from kafka import KafkaConsumer, TopicPartition

from m1cep import compile_rule
from streams.config import load_settings
from streams.embedded import EmbeddedBroker
from streams.errors import ShellError
from streams.files import load_streams
from streams.producer import Producer
from streams.rules import decide, desk
from streams.status import StatusReader
from streams.topics import create_topics

ALERTS = "m1cep.alerts.v1"
WATCHED = "/*\nid: watched\n*/\nSELECT account, event_id FROM orders WHERE qty = 777"
PROBE = "/*\nid: probe-{}\n*/\nSELECT account, event_id FROM orders WHERE qty = 778"
PAUSE_S = 0.5
START_S, READY_S, DRAIN_S, HEARD_S = 1.0, 90.0, 120.0, 60.0


def flow(broker: str, rate: int, marks: Path) -> None:
    """Child: send orders until SIGTERM; of what a rule watches, write down the ids in the end."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    rng = random.Random(1)
    watched: list[str] = []
    sent, started_s = 0, time.monotonic()
    with Producer({"bootstrap_servers": broker}, load_streams()) as producer:
        while not stop:
            due = int((time.monotonic() - started_s) * rate)
            batch = []
            now_ms = time.time_ns() // 1_000_000
            for n in range(sent, min(due, sent + rate // 10)):
                qty = 777 if n % 100 == 0 else 778 if n % 100 == 1 else 1.5
                account = f"acc-{rng.randrange(2000):04d}"
                order = {
                    "event_id": f"o{n}",
                    "account": account,
                    "order_id": f"r{n}",
                    "symbol": "BTC-USD",
                    "action": "new",
                }
                batch.append(order | {"side": "buy", "price": 64_000.5, "qty": qty, "ts": now_ms})
                if qty == 777:
                    watched.append(f"o{n}")
            for order in batch:
                producer.send("orders", order)
            sent += len(batch)
            time.sleep(0.005)
        producer.flush()
    seconds = time.monotonic() - started_s
    marks.write_bytes(orjson.dumps({"sent": sent, "seconds": seconds, "watched": watched}))


def wait_for(condition: Any, seconds: float, what: str) -> Any:
    """The value of ``condition`` as soon as it has one."""
    until_s = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until_s:
            raise ShellError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return value


class AlertReader:
    """Reads the topic of alerts; the broker's time of the first of each rule, and the events of all."""

    def __init__(self, broker: str) -> None:
        self._reader = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest")
        partitions = [TopicPartition(ALERTS, n) for n in sorted(self._reader.partitions_for_topic(ALERTS) or ())]
        self._reader.assign(partitions)
        self._reader.seek_to_beginning(*partitions)
        self.first_ms: dict[str, int] = {}
        self.events: dict[str, list[str]] = {}

    def read(self) -> None:
        """What has come."""
        found = self._reader.poll(timeout_ms=100)
        for records in found.values():
            for record in records:
                alert = orjson.loads(record.value)
                rule = alert["rule"]
                self.first_ms[rule] = min(self.first_ms.get(rule, record.timestamp), record.timestamp)
                self.events.setdefault(rule, []).append(alert["events"][0])

    def read_to_the_end(self) -> None:
        """All that is on the topic now: a poll that brings nothing may only be early on a busy machine."""
        ends = self._reader.end_offsets(list(self._reader.assignment()))
        while any(self._reader.position(tp) < end for tp, end in ends.items()):
            self.read()


def one(settings: Any, alerts: AlertReader, number: int) -> tuple[float, float, float]:
    """Deploy a rule, and switch it off: ms until it was in force, until its first alert, until it was off."""
    rule = compile_rule(PROBE.format(number), load_streams())
    record = decide.deployed(rule, None, decide.Who("bench", time.time_ns() // 1_000_000), shadow=False, approval=False)
    record = desk.write_rule(settings, record, None)
    there = in_force(settings, record)

    def first() -> int | None:
        alerts.read()
        return alerts.first_ms.get(rule.id)

    seen_ms = wait_for(first, 60, "the first alert")
    off = decide.disabled(rule.id, record, rule.version, decide.Who("bench", time.time_ns() // 1_000_000))
    off = desk.write_rule(settings, off, record)
    gone_ms = in_force(settings, off)
    time.sleep(PAUSE_S)
    return there, seen_ms - record.time_ms, gone_ms


def in_force(settings: Any, record: Any) -> float:
    """Wait until the worker has a record; the milliseconds from the record to that."""
    found = desk.wait_until_in_force(settings, record, "m1cep", HEARD_S)
    if not found.after_ms:
        raise ShellError(
            f"the worker has not said within {HEARD_S} s that it has {record.rule}: is the machine too busy?"
        )
    return max(found.after_ms.values())


def measure(rate: int, deploys: int, folder: Path, *, packaged: bool) -> dict[str, Any]:
    """The whole run."""
    from streams.files import packaged_rules_dir

    (folder / "watched.sql").write_text(WATCHED)
    marks = folder / "marks"
    m1cep = [sys.executable, "-m", "streams.cli"]
    (folder / "broker").mkdir()
    with EmbeddedBroker(folder / "broker") as server:
        settings = load_settings(broker=server.address)
        create_topics(settings)
        env = os.environ | {"M1CEP_BROKER": server.address, "M1CEP_HOME": str(folder / "home")}
        log = (folder / "worker.log").open("wb")
        rules = ["--rules", str(folder / "watched.sql")]
        rules += ["--rules", str(packaged_rules_dir())] if packaged else []
        worker = subprocess.Popen([*m1cep, "worker", *rules], env=env, stderr=log)
        load: subprocess.Popen[bytes] | None = None
        try:
            with StatusReader(settings) as status:
                wait_for(lambda: [w for w in status.look() if w["ready"]], READY_S, "the worker")
                load = subprocess.Popen([sys.executable, __file__, "--flow", server.address, str(rate), str(marks)])
                time.sleep(START_S)
                alerts = AlertReader(server.address)
                times = [one(settings, alerts, n) for n in range(deploys)]
                [before] = [w for w in status.look() if w["alive"]]
                load.terminate()
                load.wait(60)
                sent = orjson.loads(marks.read_bytes())

                def drained() -> bool:
                    [now] = status.look()
                    return now["agents"]["risk"]["events"] + now["agents"]["risk"]["late"] >= sent["sent"]

                wait_for(drained, DRAIN_S, "the last events")
                [after] = status.look()
            worker.terminate()
            worker.wait(60)  # what it has decided is on the topic then
            alerts.read_to_the_end()
        finally:
            for process in (load, worker):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(30)
            log.close()
    found = alerts.events["watched"]
    return {
        "rate": round(sent["sent"] / sent["seconds"]),
        "sent": sent["sent"],
        "late": after["agents"]["risk"]["late"],
        "lag_at_end": sum(before["agents"]["risk"]["lag"].values()),
        "deploys": deploys,
        **{
            name: {"median": median(values), "p95": percentile(values, 0.95), "worst": max(values)}
            for name, values in zip(("in_force_ms", "first_alert_ms", "off_ms"), zip(*times, strict=True), strict=True)
        },
        "watched": len(sent["watched"]),
        "missed": len(set(sent["watched"]) - set(found)),
        "repeated": len(found) - len(set(found)),
        "foreign": len(set(found) - set(sent["watched"])),
    }


def main() -> None:
    """Measure and print."""
    if len(sys.argv) > 1 and sys.argv[1] == "--flow":
        flow(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--deploys", type=int, default=20)
    parser.add_argument("--packaged", action="store_true", help="run the packaged rules too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.rate, options.deploys, Path(folder), packaged=options.packaged)
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{found['sent']} orders at {found['rate']} a second, {found['late']} late, {found['lag_at_end']} not read at the end"
    )
    for name in ("in_force_ms", "first_alert_ms", "off_ms"):
        print(f"{name:<15} " + "  ".join(f"{what} {value:.0f}" for what, value in found[name].items()))
    print(f"of {found['watched']} alerts of another rule {found['missed']} missed, {found['repeated']} repeated")


if __name__ == "__main__":
    main()
