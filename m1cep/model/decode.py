"""From JSON records, or mappings, to typed rows; what does not fit becomes an EventError and nothing else.

Accepted beyond plain JSON types: numbers as text ("64000.5") in numeric columns, RFC 3339 text in TIMESTAMP columns.
Refused: NaN, infinities, integers beyond their type, records over MAX_RECORD_BYTES, nesting beyond Python's stack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from m1cep.errors import EventError
from m1cep.model.time import parse_rfc3339

MAX_RECORD_BYTES = 1_048_576

_PATH = re.compile(r" - at `\$(.*)`$")
_FIELD = re.compile(r"required field `([^`]+)`")
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class RecordDecoder:
    """Decodes the records of one stream. Rows are msgspec Structs of ``row_type``."""

    def __init__(self, stream: str, row_type: type[msgspec.Struct], time_columns: Mapping[str, str]) -> None:
        self._stream = stream
        self._row_type = row_type
        self._time_columns = dict(time_columns)
        self._decode = msgspec.json.Decoder(row_type, strict=False).decode
        self._decode_any = msgspec.json.Decoder(dict[str, Any]).decode

    def decode_many(
        self, raws: Sequence[bytes], longest: int | None = None
    ) -> tuple[list[Any], list[tuple[int, EventError]], list[int] | None]:
        """Rows of JSON records; errors by position; positions of the rows, or None when none was bad.

        ``longest`` is a bound on the length of every record, where the caller knows one: looking it up costs a tenth of decoding.
        """
        try:
            if not raws or (max(map(len, raws)) if longest is None else longest) <= MAX_RECORD_BYTES:
                return list(map(self._decode, raws)), [], None
        except (*_DECODE_ERRORS, TypeError):
            pass  # at least one is bad: find out which
        rows: list[Any] = []
        index: list[int] = []
        errors: list[tuple[int, EventError]] = []
        for i, raw in enumerate(raws):
            try:
                rows.append(self.decode(raw))
                index.append(i)
            except EventError as error:
                error.index = i
                errors.append((i, error))
        return rows, errors, index if errors else None

    def decode(self, raw: bytes | str | None) -> Any:
        """One row of one JSON record.

        Raises:
            EventError: the record does not fit the stream.
        """
        if raw is None:
            raise EventError(self._stream, "expected a JSON object, got a record without a value")
        if len(raw) > MAX_RECORD_BYTES:
            raise EventError(self._stream, f"expected at most {MAX_RECORD_BYTES} bytes, got {len(raw)}")
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            first = error  # perhaps only its times are text
        except _DECODE_ERRORS as error:
            raise self._explain(error) from None
        try:
            return self._convert(self._decode_any(raw))
        except _DECODE_ERRORS as error:
            second = self._explain(error)
            raise (second if second.column is not None else self._explain(first)) from None

    def convert(self, event: Mapping[str, Any]) -> Any:
        """One row of a mapping.

        Raises:
            EventError: the mapping does not fit the stream.
        """
        if not isinstance(event, Mapping):
            raise EventError(self._stream, f"expected a mapping or a JSON text, got {type(event).__name__}")
        try:
            return msgspec.convert(event if isinstance(event, dict) else dict(event), self._row_type, strict=False)
        except msgspec.ValidationError:
            pass  # perhaps only its times are text
        except (*_DECODE_ERRORS, TypeError, ValueError) as error:
            raise self._explain(error) from None
        try:
            return self._convert(dict(event))
        except _DECODE_ERRORS as error:
            raise self._explain(error) from None

    def _convert(self, event: dict[str, Any]) -> Any:
        for name, unit in self._time_columns.items():
            value = event.get(name)
            if isinstance(value, datetime):
                value = value.isoformat()
            if isinstance(value, str) and not value.strip().lstrip("+-").isdigit():
                try:
                    event[name] = parse_rfc3339(value, unit)
                except ValueError as error:
                    raise EventError(self._stream, str(error), column=name) from None
        return msgspec.convert(event, self._row_type, strict=False)

    def _explain(self, error: Exception) -> EventError:
        if isinstance(error, RecursionError):
            return EventError(self._stream, "expected a flat JSON object, got one nested too deeply")
        if isinstance(error, UnicodeDecodeError):
            return EventError(
                self._stream, f"expected UTF-8, got byte 0x{error.object[error.start]:02x} at {error.start}"
            )
        text = str(error)
        column: str | None = None
        if path := _PATH.search(text):
            text, column = text[: path.start()], path[1].lstrip(".").split(".")[0].split("[")[0] or None
        elif missing := _FIELD.search(text):
            column = missing[1]
        return EventError(self._stream, text, column=column)
