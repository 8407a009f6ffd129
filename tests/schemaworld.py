"""Records against the schemas of their topics."""

import json
import re

import jsonschema

from streams.schemas import channels, json_schema

SCHEMAS = {one.address: json_schema(one) for one in channels()}
_VALIDATORS = {}


def check(topic, value):
    """Whether a record's value fits the topic's schema; of a letter of custody the body too.

    Returns what kind of record it is: what the letter is about, or its type.
    """
    topic = re.sub(r"signer-\d+", "signer-{number}", topic)
    schema = SCHEMAS[topic]
    plain = json.loads(value)
    _validator(topic, schema).validate(plain)
    if topic.startswith("m1cep.custody."):
        body = schema["$defs"][f"{plain['about'].capitalize()}Letter"]["properties"]["body"]
        inner = _validator((topic, plain["about"]), body["contentSchema"] | {"$defs": schema["$defs"]})
        for line in plain["body"].splitlines():
            inner.validate(json.loads(line))
        return plain["about"]
    return plain.get("type", "")


def _validator(name, schema):
    if name not in _VALIDATORS:
        _VALIDATORS[name] = jsonschema.Draft202012Validator(schema)
    return _VALIDATORS[name]
