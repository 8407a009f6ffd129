"""5,000 hourly candles of EUR/USD, April 2017 to February 2018: a real history that is long enough to plan and to try out on.

They come in the wheel of backtesting (AGPL-3.0), which is not installed: like the capture of Bitstamp they stay on this machine
and are no part of M1CEP. Their volume counts changes of price, not euros, and is left out.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from streams.errors import UsageError
from streams.fetch import WheelPin, fetch_files

NAME = "eurusd-hourly.csv"
_FILE = "backtesting/test/EURUSD.csv"
PIN = WheelPin(
    package="backtesting",
    version="0.6.6",
    sha256="d2fc29ab6e10fbf44b05570720cef144d6d0d2ec8e183977114f2be9c5089b78",
    files={_FILE: "81e977905a006cc8fbc034ebdb83c999a8ed6ba00191dc7ea5ef5b386fb74a82"},
)


def fetch(home: Path) -> Path:
    """The CSV file in ``home``, fetched if it is not there yet or is another.

    Raises:
        PackageIndexError: it is not there and the package index does not give it.
        UsageError: the folder cannot be written to.
    """
    file = home / "data" / NAME
    try:
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == PIN.files[_FILE]:
            return file
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=f".{NAME}.", dir=file.parent) as scratch:
            os.replace(fetch_files(PIN, Path(scratch))[_FILE], file)  # noqa: PTH105 - whole or not at all
    except OSError as error:
        raise UsageError(
            f"{file.parent} cannot be written to: {error.strerror}", "set M1CEP_HOME to a folder that can"
        ) from error
    return file
