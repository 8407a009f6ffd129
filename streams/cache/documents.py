"""Parameters, values of rules and templates as JSON documents in the cache, and back."""

from __future__ import annotations

from typing import Any

import orjson

from m1cep import Parameter
from m1cep.model.parameter import parameter
from m1cep.runtime.lookups import parameter_version
from m1cep.runtime.versions import value_version
from streams.errors import UsageError


def encoded(kind: str, value: Any) -> tuple[str, Any]:
    """The version and the JSON document of a parameter, of a rule's values or of a template.

    Raises:
        UsageError: rules could not read it.
    """
    try:
        if kind == "param":
            assert isinstance(value, Parameter)
            for each in (*([] if value.default is None else [value.default]), *value.by_key.values()):
                parameter(each)
            return parameter_version(value), {"default": value.default, "by_key": dict(value.by_key)}
        if kind == "rule":
            for each in value.values():
                parameter(each)
        orjson.dumps(value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{kind}: {error}") from None
    return value_version(value), value


def decoded(kind: str, document: Any) -> tuple[str, Any]:
    """The reverse: version and value.

    Raises:
        UsageError: it is not what ``encoded`` gives.
    """
    if kind == "param":
        if not isinstance(document, dict) or not isinstance(document.get("by_key"), dict):
            raise UsageError("a parameter in the cache is not of the form that M1CEP writes")
        document = Parameter(document.get("default"), document["by_key"])
    elif kind == "rule" and not isinstance(document, dict):
        raise UsageError("a rule's values in the cache are not of the form that M1CEP writes")
    return encoded(kind, document)[0], document
