"""From channels to documents: a JSON Schema for each topic, and one AsyncAPI 3.0 document that refers to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.schemas.catalogue import Channel, Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = "schemas"  # beside the document
_ID = "urn:m1cep:schema:"

_DESCRIPTION = """\
Real-time risk rules in SQL on Kafka, grids, and custody. Values are JSON. What M1CEP writes bears CloudEvents 1.0 headers in
binary mode; what it reads may be plain JSON. Delivery is at least once: whoever reads drops repetitions by ce_id. Within a
version (v1) only compatible changes are made: fields are added that may be missing, and nothing is removed."""

_CLOUD_EVENT = {
    "name": "CloudEvent",
    "summary": "CloudEvents 1.0 attributes as Kafka headers (binary mode).",
    "headers": {
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {"type": "string", "description": "The same for the same event, however often it is written."},
            "ce_type": {"type": "string"},
            "ce_source": {"type": "string", "description": "Who wrote it, such as /m1cep/risk."},
            "ce_time": {"type": "string", "format": "date-time"},
            "content-type": {"const": "application/json"},
        },
        "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"],
    },
}


def file_name(channel: Channel) -> str:
    """Of its JSON Schema."""
    return f"{channel.address.replace('{number}', 'N')}.json"


def json_schema(channel: Channel) -> dict[str, Any]:
    """The JSON Schema of a topic's values, without tombstones."""
    several = [message.schema for message in channel.messages]
    return {
        "$schema": DIALECT,
        "$id": _ID + file_name(channel).removesuffix(".json"),
        "title": channel.address,
        "description": channel.description,
        **(several[0] if len(several) == 1 else {"anyOf": several}),
        "$defs": channel.definitions,
    }


def asyncapi(found: Iterable[Channel], examples: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document.

    Args:
        found: all channels.
        examples: headers and payload by name of the message.
        version: of m1cep.
    """
    every = list(found)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "M1CEP",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "M1CEP_BROKER; TLS and SASL as in docs/security.md.",
                "variables": {"broker": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {_name(one): _channel(one, examples) for one in every},
        "operations": {
            f"{way}.{_name(one)}": {
                "action": way,
                "channel": {"$ref": f"#/channels/{_name(one)}"},
                "summary": f"M1CEP {'reads' if way == 'receive' else 'writes'} {one.address}.",
            }
            for one in every
            for way in one.ways
        },
        "components": {"messageTraits": {"cloudEvent": _CLOUD_EVENT}},
    }


def _name(channel: Channel) -> str:
    """Of the channel in the document: without dots, which tools take for paths."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", channel.address).strip("-")


def _channel(channel: Channel, examples: Mapping[str, Any]) -> dict[str, Any]:
    text = channel.description
    if channel.tombstones:
        text += " A record without a value takes its key back."
    found: dict[str, Any] = {"address": channel.address, "description": text}
    if "{number}" in channel.address:
        found["parameters"] = {"number": {"description": "Of the signer, from 1 to 255."}}
    found["messages"] = {one.name: _message(channel, one, examples) for one in channel.messages}
    return found


def _message(channel: Channel, message: Message, examples: Mapping[str, Any]) -> dict[str, Any]:
    where = f"./{FOLDER}/{file_name(channel)}"
    payload = {"$ref": where + message.schema["$ref"]} if "$ref" in message.schema else message.schema
    found: dict[str, Any] = {
        "name": message.name,
        "summary": message.summary,
        "contentType": message.content_type,
        "payload": payload,
    }
    if channel.key:
        found["bindings"] = {"kafka": {"key": {"type": "string", "description": channel.key}}}
    if message.event_type:
        found["traits"] = [{"$ref": "#/components/messageTraits/cloudEvent"}]
        found["x-ce-type"] = message.event_type
    if message.name in examples:
        found["examples"] = [examples[message.name]]
    return found
