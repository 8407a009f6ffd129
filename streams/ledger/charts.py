"""The chart of accounts from a file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from m1cep.ledger import Chart, parse_chart
from streams.errors import UsageError
from streams.files import packaged_rules_dir, read_text

if TYPE_CHECKING:
    from pathlib import Path


def load_chart(path: Path | None = None) -> Chart:
    """The chart of a TOML file (``m1cep.ledger.chart``); the packaged one by default.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
        LedgerError: it is no chart.
    """
    file = packaged_rules_dir() / "ledger.toml" if path is None else path
    try:
        plain = tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    return parse_chart(plain)
