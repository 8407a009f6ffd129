"""Histories from files: CSV, NDJSON or Parquet of trades or candles, and the fetched real trades."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from m1cep.grid.plan import History, Kind
from m1cep.model.time import parse_time
from streams.demo import dataset
from streams.errors import UsageError, one_line
from streams.grid import eurusd

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.config import Settings

BITSTAMP, EURUSD = "bitstamp", "eurusd"
TIMES = (
    "time_ms",
    "ts",
    "time",
    "timestamp",
    "open_time",
    "datetime",
    "date",
    "",
)  # pandas leaves its index without a name
PRICES = ("price",)
CANDLE = ("open", "high", "low", "close")
VOLUMES = ("qty", "quantity", "amount", "volume", "size")
_ROW = "\0row"  # a name that no file has
_EPOCH = ((10**11, 1_000), (10**14, 1), (10**17, 1 / 1_000))  # below this, epoch s, ms, us: times to get ms


def load_history(
    source: str,
    settings: Settings,
    symbol: str | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> History:
    """The history of ``--history``: a file, or real data that is fetched when it is not there: ``bitstamp``, ``eurusd``.

    Args:
        source: the file's name, or that of the real data.
        settings: where real data is kept.
        progress: called now and then while real data is fetched.
        symbol: of the rows wanted, where a file has several.

    Raises:
        UsageError: the file cannot be read or understood; the message has the row.
        GridError: what it says cannot be (see ``m1cep.grid.plan.History``).
        PackageIndexError: the real data is not there and cannot be fetched.
    """
    if source == BITSTAMP:
        found, _ = dataset.fetch(settings.folder(), progress)
        return _convert(_read(found.market), str(found.market), symbol)
    if source == EURUSD:
        file = eurusd.fetch(settings.folder())
        return _convert(_read(file).drop("Volume"), str(file), symbol)
    path = Path(source)
    return _convert(_read(path), source, symbol)


def _read(path: Path) -> pl.DataFrame:
    """The file as it is; all columns of a CSV file are text."""
    readers: dict[str, Callable[[], pl.DataFrame]] = {
        ".csv": lambda: pl.read_csv(path, infer_schema=False),
        ".ndjson": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".jsonl": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".parquet": lambda: pl.read_parquet(path),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"--history {path}: expected {BITSTAMP}, {EURUSD} or a file named {', '.join('*' + end for end in readers)}"
        )
    if not path.is_file():
        raise UsageError(f"--history {path}: there is no such file")
    try:
        return reader()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or one_line(str(error))}") from error
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{path} is not {path.suffix[1:].upper()}: {one_line(str(error))[:200]}") from error


def _convert(frame: pl.DataFrame, name: str, symbol: str | None) -> History:
    columns = [column.strip().lower() for column in frame.columns]
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise UsageError(f"{name}: two columns are called {', '.join(twice)} (large and small letters are the same)")
    frame = frame.rename(dict(zip(frame.columns, columns, strict=True))).with_row_index(_ROW, offset=1)
    if "action" in columns:  # events of the stream market: orders too
        frame = frame.filter(pl.col("action").cast(pl.String) == "trade")
    frame = _one_symbol(frame, name, symbol)
    time = next((column for column in TIMES if column in frame.columns), None)
    candles = all(column in frame.columns for column in CANDLE)
    if time is None or not (candles or "price" in frame.columns):
        raise UsageError(
            f"{name}: expected a time ({', '.join(TIMES[:-1])}) and either price or {', '.join(CANDLE)} among the columns, got "
            f"{', '.join(frame.columns[1:]) or 'none'}"
        )
    prices = [_numbers(frame, column, name) for column in (CANDLE if candles else PRICES * 4)]
    volume = next((_numbers(frame, column, name) for column in VOLUMES if column in frame.columns), None)
    return History.from_columns(
        Kind.CANDLES if candles else Kind.TRADES,
        _times(frame, time, name).to_numpy(),
        [column.to_numpy() for column in prices],
        None if volume is None else volume.to_numpy(),
    )


def _one_symbol(frame: pl.DataFrame, name: str, symbol: str | None) -> pl.DataFrame:
    if "symbol" not in frame.columns:
        return frame
    there = frame["symbol"].unique().drop_nulls().sort().to_list()
    if len(there) < 2:
        return frame
    if symbol not in there:
        raise UsageError(
            f"{name} has {len(there)} symbols, {', '.join(map(str, there[:5]))}: say which one with --symbol"
        )
    return frame.filter(pl.col("symbol") == symbol)


def _numbers(frame: pl.DataFrame, column: str, name: str) -> pl.Series:
    found = _floats(frame, column, name)
    _refuse_missing(frame, found, column, name, "a number")
    return found


def _floats(frame: pl.DataFrame, column: str, name: str) -> pl.Series:
    """The column as numbers; null where a value is none."""
    values = frame[column]
    if not (values.dtype.is_numeric() or values.dtype in {pl.String, pl.Null}):
        raise UsageError(f"{name}: expected numbers in {column}, got {values.dtype}")
    return values.cast(pl.Float64, strict=False)


def _times(frame: pl.DataFrame, column: str, name: str) -> pl.Series:
    """In epoch ms: from numbers (s, ms, us or ns, by their size), from text, from Parquet's own times."""
    values = frame[column]
    if isinstance(values.dtype, pl.Datetime | pl.Date):
        return values.dt.epoch("ms")
    numbers = _floats(frame, column, name)
    if values.dtype == pl.String and numbers.null_count() == len(numbers):
        found = values.map_elements(_parsed, return_dtype=pl.Int64, skip_nulls=True)
        _refuse_missing(frame, found, column, name, "a time such as 2026-05-01 12:00:00, or epoch ms")
        return found
    _refuse_missing(frame, numbers, column, name, "epoch seconds, ms, us or ns")
    largest = float(numbers.abs().max() or 0.0)  # type: ignore[arg-type]  # of floats it is one
    to_ms = next((factor for below, factor in _EPOCH if largest < below), 1 / 1_000_000)
    in_ms = (numbers * to_ms).round()
    _refuse_missing(frame, in_ms.cast(pl.Int64, strict=False), column, name, "a time")
    return in_ms.cast(pl.Int64)


def _parsed(text: str) -> int | None:
    try:
        return parse_time(text, "ms")
    except ValueError:
        return None


def _refuse_missing(frame: pl.DataFrame, found: pl.Series, column: str, name: str, expected: str) -> None:
    at = found.is_null().arg_max() if found.null_count() else None
    if at is not None:
        value, row = frame[column][at], frame[_ROW][at]
        raise UsageError(
            f"{name}, row {row}: expected {expected} in {column}, got {'nothing' if value is None else repr(value)}"
        )
