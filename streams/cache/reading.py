"""Files to the entries of a list: text, CSV with a column, OFAC's CSV and XML. As streams; bad rows are counted and told."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.cache import ofac
from streams.cache.store import check_entry
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from streams.cache.ofac import BadRow, Item

TAKE = ("address", "name", "all")
_READ_BYTES = 65_536


@dataclass
class Reading:
    """The entries of files, and what was wrong with their rows.

    Args:
        files: of one list; of OFAC's CSV files those that belong together.
        take: of OFAC's: address, name or all.
        column: of a CSV with a header: where the entries stand.
        max_bad: so many bad rows are left out; one more, and the files are refused.
        on_bad: called with file, line and reason of each.
        on_bytes: called with the bytes read so far, for a progress bar.
    """

    files: list[Path]
    take: str = "address"
    column: str = ""
    max_bad: int = 0
    on_bad: Callable[[Path, int, str], None] = lambda *_: None
    on_bytes: Callable[[int], None] = lambda _: None
    bad: int = 0
    first_bad: str = ""
    entries: int = 0
    _bytes: int = field(default=0, repr=False)

    def __iter__(self) -> Iterator[str]:
        """The entries.

        Raises:
            UsageError: a file cannot be read, or is of no known form.
            ShellError: more rows are bad than may be, or there is no entry.
        """
        comments = self._comments()
        for file in self.files:
            try:
                with file.open("rb") as raw:
                    for item in self._items(file, raw, comments):
                        if isinstance(item, ofac.BadRow):
                            self._refuse(file, item)
                        elif (entry := self._entry(file, item)) is not None:
                            self.entries += 1
                            yield entry
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{file} cannot be read: {error}") from None
        if self.bad > self.max_bad:
            raise ShellError(
                f"{self.bad} rows are bad, at most {self.max_bad} may be: {self.first_bad}",
                "nothing was changed; mend the file, or allow more with --max-bad",
            )
        if not self.entries:
            raise ShellError(
                f"{', '.join(map(str, self.files))}: there is no entry", "nothing was changed; see --take and --column"
            )

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.stat().st_size for file in self.files if file.exists())

    def _refuse(self, file: Path, row: BadRow) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"{file.name}, line {row.line}: {row.reason}"
        self.on_bad(file, row.line, row.reason)

    def _entry(self, file: Path, item: Item) -> str | None:
        if item.kind not in {self.take, ""} and self.take != "all":
            return None
        try:
            return check_entry(item.value.strip())
        except ValueError as error:
            self._refuse(file, ofac.BadRow(item.line, str(error)))
            return None

    def _comments(self) -> dict[int, str] | None:
        """The rests of remarks, by number, of all files that have some; OFAC has few, so they are held. None: no file has."""
        found: dict[int, str] | None = None
        for file in self.files:
            if file.suffix.lower() == ".csv" and not self.column:
                with _opened(file) as raw:
                    if ofac.csv_kind(raw) != "comments":
                        continue
                    found = {} if found is None else found
                    for item in ofac.read_comments(io.TextIOWrapper(raw, "utf-8-sig", "replace", newline="")):
                        if not isinstance(item, ofac.BadRow):
                            number, text = item
                            found[number] = found.get(number, "") + text
        return found

    def _items(self, file: Path, raw: io.BufferedReader, comments: dict[int, str] | None) -> Iterator[Item | BadRow]:
        suffix = file.suffix.lower()
        if suffix == ".xml":
            yield from ofac.XmlReader().read(self._counted(iter(lambda: raw.read(_READ_BYTES), b"")))
            return
        kind = ofac.csv_kind(raw) if suffix == ".csv" and not self.column else ""
        lines = self._lines(raw)
        if kind == "sdn":
            yield from ofac.read_sdn(lines, comments)
        elif kind == "alt":
            yield from ofac.read_alt(lines)
        elif kind == "comments":  # the good ones have been read
            yield from (item for item in ofac.read_comments(lines) if isinstance(item, ofac.BadRow))
        elif kind == "add":
            return  # postal addresses
        elif suffix == ".csv":
            yield from self._column_of(file, lines)
        else:
            _check_text(file, raw)
            yield from _plain(lines)

    def _column_of(self, file: Path, lines: Iterable[str]) -> Iterator[Item | BadRow]:
        rows = ofac.csv_rows(lines)
        first = next(rows, None)
        header = first[1] if isinstance(first, tuple) else []
        if not self.column or self.column not in header:
            raise UsageError(
                f"{file.name} has no column {self.column!r}: expected OFAC's SDN.CSV, or --column with one of "
                f"{', '.join(header[:20]) or 'its header'}"
            )
        if header.count(self.column) > 1:
            raise UsageError(
                f"{file.name} has more than one column {self.column!r}", "which of them holds the entries?"
            )
        at = header.index(self.column)
        for found in rows:
            if isinstance(found, ofac.BadRow):
                yield found
                continue
            line, row = found
            if len(row) == len(header):
                yield ofac.Item("", row[at], line)
            else:
                yield ofac.BadRow(line, f"expected {len(header)} columns, got {len(row)}")

    def _lines(self, raw: io.BufferedReader) -> Iterator[str]:
        first = True
        for line in self._counted(raw):
            yield line.decode("utf-8-sig" if first else "utf-8", "surrogateescape")  # such an entry is refused
            first = False

    def _counted(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self._bytes += len(part)
            self.on_bytes(self._bytes)
            yield part


def _check_text(file: Path, raw: io.BufferedReader) -> None:
    """Whether this is text, and no file of OFAC's under another name: each of its rows would be an entry that nothing ever is.

    Raises:
        UsageError: it is not.
    """
    start = raw.peek(_READ_BYTES)[:_READ_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    for form, is_so in (("xml", start.startswith(b"<")), ("csv", ofac.csv_kind(raw) in {"sdn", "alt", "add"})):
        if is_so:
            raise UsageError(
                f"{file.name} is read as text, one entry a line, and looks like {form.upper()}", f"name it NAME.{form}"
            )


def _plain(lines: Iterable[str]) -> Iterator[Item]:
    """One entry a line; a line that begins with # is a comment."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield ofac.Item("", text, number)


def _opened(file: Path) -> io.BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
