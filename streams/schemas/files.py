"""The documents as files: ``asyncapi.yaml`` and ``schemas/TOPIC.json`` in a folder; what is there is compared first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import yaml

from streams.errors import UsageError
from streams.schemas.compatible import breaks
from streams.schemas.document import FOLDER, asyncapi, file_name, json_schema
from streams.schemas.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.schemas.catalogue import Channel

DOCUMENT = "asyncapi.yaml"


@dataclass(frozen=True)
class Comparison:
    """What is in a folder against what should be.

    Attributes:
        texts: what should be, by name of the file.
        stale: files that are missing or other.
        broken: incompatible changes: the file, and where.
    """

    texts: dict[str, str]
    stale: list[str]
    broken: list[str]


def compare(folder: Path, found: Iterable[Channel]) -> Comparison:
    """The folder's files against those of the channels.

    Raises:
        UsageError: a schema in the folder is not JSON.
    """
    every = list(found)
    texts = {DOCUMENT: _yaml(every)}
    broken = []
    for channel in every:
        name, schema = f"{FOLDER}/{file_name(channel)}", json_schema(channel)
        texts[name] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        path = folder / name
        if path.is_file():
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UsageError(f"{path} is not JSON: {error}", "delete it, or take it from the repository") from error
            broken += [f"{name}{where}" for where in breaks(before, schema)]
    stale = [name for name, text in texts.items() if _read(folder / name) != text]
    broken += [
        f"{FOLDER}/{path.name}: the topic is gone"
        for path in sorted((folder / FOLDER).glob("*.json"))
        if f"{FOLDER}/{path.name}" not in texts
    ]
    return Comparison(texts, stale, broken)


def write(folder: Path, comparison: Comparison) -> None:
    """Put in place what is stale.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for name in comparison.stale:
            (folder / name).write_text(comparison.texts[name], encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be written: {error.strerror}", "name another folder with --out"
        ) from error


def _yaml(every: list[Channel]) -> str:
    head = "# Made by `m1cep schemas`; a test keeps it current.\n"
    document = asyncapi(every, examples(), version("m1cep"))
    return head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
