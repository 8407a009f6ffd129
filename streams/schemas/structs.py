"""Schemas of classes: what msgspec makes of them, tidied. Docstrings become descriptions of classes and of their fields."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.schemas.events import Schema

_TEMPLATE = "#/$defs/{name}"
_ATTRIBUTE = re.compile(r"^ {4}([\w, ]+): (.*)$")


def schemas_of(types: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each type, and the definitions that they refer to under ``$defs``."""
    found, definitions = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    return [_portable(one) for one in found], {name: _described(_portable(one)) for name, one in definitions.items()}


def tagged(
    classes: Mapping[str, type], suffix: str, more: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Schema]:
    """Definitions of classes that are told apart by a field ``type``, which is none of their own, and of what they refer to.

    Args:
        classes: by the value of ``type``.
        suffix: of the definitions' names, after that of the class: inside of others a class has no ``type``.
        more: further fields: by the value of ``type``, types by field; a field that ends with ``?`` may be missing.
    """
    found, definitions = schemas_of(list(classes.values()))
    plain = dict(definitions)
    told: dict[str, Schema] = {}
    for (name, cls), schema in zip(classes.items(), found, strict=True):
        own = plain[schema["$ref"].rpartition("/")[2]]
        one = {**own, "properties": {"type": {"const": name}, **own["properties"]}}
        one["required"] = ["type", *own.get("required", [])]
        for field, type_ in (more or {}).get(name, {}).items():
            (inner,), further = schemas_of([type_])
            definitions |= further
            one["properties"][field.rstrip("?")] = inner
            if not field.endswith("?"):
                one["required"].append(field)
        told[cls.__name__ + suffix] = one
    text = json.dumps([*told.values(), *definitions.values()])
    return told | {name: one for name, one in definitions.items() if f'"{refer(name)["$ref"]}"' in text}


def refer(name: str) -> Schema:
    """A reference to a definition."""
    return {"$ref": _TEMPLATE.format(name=name)}


def _portable(schema: Any) -> Any:
    """Without what is Python's alone: its anchor for the end of a text."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$") if key == "pattern" and isinstance(value, str) else _portable(value)
            for key, value in schema.items()
        }
    return [_portable(one) for one in schema] if isinstance(schema, list) else schema


def _described(definition: Schema) -> Schema:
    """Field descriptions out of the class's docstring; those of a class without its own text are left out."""
    text = inspect.cleandoc(definition.get("description", ""))
    summary, _, attributes = text.partition("\n\nAttributes:\n")
    if summary:
        definition["description"] = " ".join(summary.split())
    fields = definition.get("properties", {})
    names: list[str] = []
    for line in attributes.splitlines():
        if attribute := _ATTRIBUTE.match(line):
            names = [name.strip() for name in attribute[1].split(",")]
            for name in names:
                if name in fields:
                    fields[name]["description"] = attribute[2]
        else:
            for name in names:
                if name in fields and line.strip():
                    fields[name]["description"] += f" {line.strip()}"
    return definition
