"""The converted capture in a folder of ``M1CEP_HOME``: made once, checked by hash each time, never half there.

    <home>/data/bitstamp-btcusd/
        market.ndjson     what the venue sent in 30 minutes: events of the ``market`` stream, by event time
        book.ndjson       the orders resting when the capture began, as ``created`` events of one time
        manifest.json     where it comes from, its licence, what was converted and what was left out, hashes

The data belongs to ob-analytics (GPL-2.0-or-later): it stays on this machine and is no part of M1CEP.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from streams.demo import bitstamp
from streams.errors import ShellError, UsageError
from streams.fetch import WheelPin, fetch_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "bitstamp-btcusd"
FORMAT = 1  # of the converted files: raised when the conversion changes, so that old ones are made again
EVENTS_ABOUT = 314_341  # rows of the two files: the length of the progress bar

_ORDERS = "ob_analytics/_sample_data/orders.csv.gz"
_TRADES = "ob_analytics/_sample_data/trades.csv"
PIN = WheelPin(
    package="ob-analytics",
    version="0.1.0",
    sha256="0326a93aaee4ea08356d8dea59868d68592623a2434bbe4d9be379fa855c9c62",
    files={
        _ORDERS: "880501e94fb43942b7f98cbc37bab421d72703d85898aae8de5da117bf62cdfc",
        _TRADES: "9fd0dd86023b71eed49026b9b8e8a45d06d2578ced69393ad696f37233e9c795",
    },
)
_SOURCE = {
    "package": PIN.package,
    "version": PIN.version,
    "wheel_sha256": PIN.sha256,
    "files": dict(PIN.files),
    "licence": "GPL-2.0-or-later",
    "what": "Bitstamp BTC/USD, live_orders and live_trades, 2026-05-02 02:36 to 03:06 UTC, captured by ob-analytics",
    "units": "ts: epoch ms at the venue; price: USD; qty: BTC (created: size; changed, deleted: rest; trade: traded)",
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The converted files.

    Attributes:
        folder: where they are.
        manifest: what ``manifest.json`` says.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def market(self) -> Path:
        """NDJSON of the ``market`` stream, by event time."""
        return self.folder / "market.ndjson"

    @property
    def book(self) -> Path:
        """NDJSON of the orders resting at the beginning."""
        return self.folder / "book.ndjson"

    @property
    def events(self) -> int:
        """How many events ``market`` holds."""
        return int(self.manifest["events"]["market"])

    @property
    def span_ms(self) -> tuple[int, int]:
        """Event time of the first and of the last market event, epoch ms."""
        first, last = self.manifest["event_time_ms"]
        return int(first), int(last)

    def market_records(self) -> Iterator[bytes]:
        """The market events, one JSON record each, by event time."""
        with self.market.open("rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def fetch(home: Path, progress: Callable[[str, int], None] | None = None) -> tuple[Dataset, bool]:
    """The dataset in ``home``, fetched and converted if it is not there yet, and whether that had to be done.

    Args:
        home: ``M1CEP_HOME``.
        progress: called now and then with what is being done and how many rows of it are done.

    Raises:
        PackageIndexError: it is not there and the package index does not give it.
        UsageError: the folder cannot be written to.
    """
    if found := load(home):
        return found, False
    report = progress or (lambda _what, _done: None)
    parent = home / "data"
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = Path(tempfile.mkdtemp(prefix=f".{NAME}.", dir=parent))
    except OSError as error:
        raise UsageError(
            f"{parent} cannot be written to: {error.strerror}", "set M1CEP_HOME to a folder that can"
        ) from error
    try:
        report("fetching from the package index", 0)
        sources = fetch_files(PIN, scratch)
        manifest = convert_files(sources[_ORDERS], sources[_TRADES], scratch, report)
        for source in sources.values():
            source.unlink()
        _put_in_place(scratch, parent / NAME)
    except OSError as error:
        raise ShellError(f"{parent}: {error.strerror or error}", "is the disk full?") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Dataset(parent / NAME, manifest), True


def load(home: Path) -> Dataset | None:
    """The dataset in ``home`` if it is there, whole, and of this version's format."""
    folder = home / "data" / NAME
    try:
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        if manifest["format"] != FORMAT or manifest["source"]["wheel_sha256"] != PIN.sha256:
            return None
        for name, about in manifest["files"].items():
            if _sha256(folder / name) != about["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Dataset(folder, manifest)


def convert_files(orders: Path, trades: Path, into: Path, report: Callable[[str, int], None]) -> dict[str, Any]:
    """Write ``market.ndjson``, ``book.ndjson`` and ``manifest.json`` into a folder; returns the manifest."""
    counts: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    first = last = 0
    with (
        gzip.open(orders, "rt", encoding="utf-8", newline="") as order_lines,
        trades.open(encoding="utf-8", newline="") as trade_lines,
        (into / "market.ndjson").open("wb") as market,
        (into / "book.ndjson").open("wb") as book,
    ):
        files: dict[str, IO[bytes]] = {"market": market, "book": book}
        for done, (part, event) in enumerate(bitstamp.convert(order_lines, trade_lines)):
            if done % 5_000 == 0:
                report("converting", done)
            counts[part] += 1
            if part == "closing":
                continue
            if part == "market":
                actions[event["action"]] += 1
                first, last = first or event["ts"], event["ts"]
            files[part].write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
    manifest = {
        "name": NAME,
        "format": FORMAT,
        "source": _SOURCE,
        "events": {"market": counts["market"], "book": counts["book"], "by_action": dict(sorted(actions.items()))},
        "left_out": {"made up at the end of the capture: a deletion of every order left": counts["closing"]},
        "event_time_ms": [first, last],
        "files": {
            name: {"sha256": _sha256(into / name), "bytes": (into / name).stat().st_size}
            for name in ("market.ndjson", "book.ndjson")
        },
    }
    (into / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return manifest


def _put_in_place(scratch: Path, folder: Path) -> None:
    """Rename the finished folder into place; another process that was faster has made the very same one."""
    old = scratch.with_suffix(".old")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, old)  # noqa: PTH104 - one damaged or of another format, or another process's same one
    try:
        os.rename(scratch, folder)  # noqa: PTH104
    except OSError:
        if not (folder / "manifest.json").exists():
            raise
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
