"""OFAC's list of Specially Designated Nationals, as published: SDN.XML, or SDN.CSV with ALT.CSV and SDN_COMMENTS.CSV.

Layout: OFAC's data specification (dat_spec.txt, 2023-09-25). Files are read as streams; only one record is held at a time.

CSV, without a header; ``-0-`` is no value
    SDN            ent_num, name, type, program, title, call sign, vessel type, tonnage, GRT, flag, owner, remarks
    ALT            ent_num, alt_num, alt_type, alt_name, alt_remarks
    SDN_COMMENTS   ent_num, what did not fit into the 1,000 characters of SDN's remarks
    remarks        "...; Digital Currency Address - XBT 1Abc...; alt. Digital Currency Address - ETH 0x...; ..."
XML
    sdnList / publshInformation / Record_Count, sdnEntry / uid, lastName, firstName, idList / id / idType, idNumber,
    akaList / aka / lastName, firstName
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader

_ADDRESS = re.compile(r"Digital Currency Address - ([A-Z0-9]{2,10})\s+([^\s;,]+?)[.;,]*(?=\s|;|$)")
_MARK = "Digital Currency Address -"
_NULL = "-0-"
_SDN, _ALT, _COMMENTS, _ADD = 12, 5, 2, 6  # columns
_REMARKS = 1_000


@dataclass(frozen=True, slots=True)
class Item:
    """Something that may go on a list.

    Attributes:
        kind: address or name.
        line: of the file, from 1.
    """

    kind: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read."""

    line: int
    reason: str


def csv_kind(file: BufferedReader) -> str:
    """Which of OFAC's CSV files this is: sdn, alt, add, comments; "" for none of them. Nothing is read off the file."""
    first = file.peek(4 * _REMARKS).partition(b"\n")[0].decode("utf-8-sig", "replace")
    row = next(csv.reader([first]), [])
    names = {_SDN: "sdn", _ALT: "alt", _COMMENTS: "comments", _ADD: "add"}
    return names.get(len(row), "") if row and _is_number(row[0].strip()) else ""


def csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]] | BadRow]:
    """The rows of a CSV, each with the line that it ends in; empty ones are passed over.

    Strict: a quote that is not closed would else make one row of all that follow it, and they would be missed by nobody.
    Every line that is lost so is a bad row.
    """
    reader = csv.reader(_to_the_end(lines), strict=True)
    while True:
        before = reader.line_num
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield from (BadRow(line, str(error)) for line in range(before + 1, reader.line_num + 1))
            continue
        if row:
            yield reader.line_num, row


def read_comments(lines: Iterable[str]) -> Iterator[tuple[int, str] | BadRow]:
    """SDN_COMMENTS: the rest of long remarks, with the ent_num that they belong to; perhaps in several rows."""
    for found in csv_rows(lines):
        if isinstance(found, BadRow):
            yield found
            continue
        line, row = found
        if len(row) == _COMMENTS and _is_number(row[0].strip()):
            yield int(row[0]), row[1]
        else:
            yield BadRow(line, f"expected a number and a comment, got {len(row)} columns, the first {row[0][:20]!r}")


def read_sdn(lines: Iterable[str], comments: Mapping[int, str] | None) -> Iterator[Item | BadRow]:
    """SDN.CSV: names, and addresses out of the remarks. ``comments`` None: there is no such file."""
    for found in csv_rows(lines):
        if isinstance(found, BadRow):
            yield found
        else:
            line, row = found
            yield from _sdn_row([*(cell.strip() for cell in row[:-1]), row[-1]], line, comments)


def _sdn_row(row: list[str], line: int, comments: Mapping[int, str] | None) -> Iterator[Item | BadRow]:
    if len(row) != _SDN:
        yield BadRow(line, f"expected {_SDN} columns, got {len(row)}")
        return
    if not _is_number(row[0]) or row[1] in {"", _NULL}:
        yield BadRow(line, f"expected a number and a name, got {row[0][:20]!r} and {row[1][:40]!r}")
        return
    remarks = row[11]
    rest = None if comments is None else comments.get(int(row[0]))
    # Addresses come late in remarks: what was cut off may be one. Remarks that end with a full stop were not, perhaps.
    if rest is None and len(remarks) >= _REMARKS and (comments is None or not remarks.rstrip().endswith(".")):
        lacks = "give SDN_COMMENTS.CSV as well" if comments is None else "SDN_COMMENTS.CSV does not have the rest"
        yield BadRow(line, f"its remarks are cut at 1,000 characters: {lacks}, or give SDN.XML")
        return
    text = remarks + (rest or "")
    found = _ADDRESS.findall(text)
    named = "".join(text.split()).count("".join(_MARK.split()))  # blanks may have gone where remarks were cut
    if len(found) != named:
        yield BadRow(line, f"its remarks name {named} digital currency addresses, and {len(found)} can be read")
        return
    yield Item("name", row[1], line)
    for _currency, address in found:
        yield Item("address", address, line)


def read_alt(lines: Iterable[str]) -> Iterator[Item | BadRow]:
    """ALT.CSV: other names."""
    for found in csv_rows(lines):
        if isinstance(found, BadRow):
            yield found
            continue
        line, row = found
        if len(row) != _ALT:
            yield BadRow(line, f"expected {_ALT} columns, got {len(row)}")
        elif row[3].strip() not in {"", _NULL}:
            yield Item("name", row[3].strip(), line)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _to_the_end(lines: Iterable[str]) -> Iterator[str]:
    """Without the byte that ends OFAC's files since the days of DOS."""
    for line in lines:
        yield line.replace("\x1a", "")


class XmlReader:
    """SDN.XML, fed in parts: constant memory, and no document type that could name other files or grow without end."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._pieces: list[str] = []
        self._one: dict[str, str] = {}  # of the id, or the other name, at hand
        self._entry: dict[str, str] = {}
        self._found: list[Item | BadRow] = []
        self._entries = 0
        self._promised = ""

    def read(self, parts: Iterable[bytes]) -> Iterator[Item | BadRow]:
        """All items of a file, which comes in parts; the last says when the file is not whole."""
        try:
            for part in parts:
                self._parser.Parse(part, False)
                yield from self._take()
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            yield from self._take()
            yield BadRow(error.lineno, f"not XML: {expat.errors.messages[error.code]}")
            return
        except _DoctypeError:
            yield BadRow(self._parser.CurrentLineNumber, "it has a document type, which OFAC's files do not")
            return
        yield from self._take()
        if self._promised and self._promised != str(self._entries):
            yield BadRow(
                self._parser.CurrentLineNumber,
                f"Record_Count says {self._promised:.20} entries, and there are {self._entries}",
            )

    def _take(self) -> list[Item | BadRow]:
        found, self._found = self._found, []
        return found

    def _doctype(self, *_: object) -> None:
        raise _DoctypeError

    def _start(self, tag: str, _: object) -> None:
        self._path.append(tag.rpartition(":")[2])
        self._pieces.clear()
        if self._path[-1] == "sdnEntry":
            self._entry = {}
        elif self._path[-1] in {"id", "aka"}:
            self._one = {}

    def _text(self, text: str) -> None:
        self._pieces.append(text)

    def _end(self, _: str) -> None:
        tag, text = self._path.pop(), "".join(self._pieces).strip()
        self._pieces.clear()
        within = self._path[-1] if self._path else ""
        if tag == "Record_Count":
            self._promised = text
        elif within in {"id", "aka"}:
            self._one[tag] = text
        elif within == "sdnEntry":
            self._entry[tag] = text
        if tag == "id" and self._one.get("idType", "").startswith(_MARK):
            self._add("address", self._one.get("idNumber", ""))
        elif tag == "aka":
            self._add("name", _full_name(self._one))
        elif tag == "sdnEntry":
            self._entries += 1
            self._add("name", _full_name(self._entry))

    def _add(self, kind: str, value: str) -> None:
        line = self._parser.CurrentLineNumber
        self._found.append(Item(kind, value, line) if value else BadRow(line, f"an entry has no {kind}"))


class _DoctypeError(Exception):
    pass


def _full_name(parts: Mapping[str, str]) -> str:
    """As the CSV files write it: LAST, First."""
    return ", ".join(filter(None, (parts.get("lastName", ""), parts.get("firstName", ""))))
