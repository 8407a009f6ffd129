"""The names under which things lie in the cache.

m1cep:now:KIND:NAME           what is in force: JSON with version, entries or value, at_ms, by, note. Clients track this prefix
m1cep:list:NAME:VERSION       the entries of a list in a version: a set; never changed, expires some time after it was replaced
m1cep:value:KIND:NAME:VERSION a parameter, a rule's values or a template in a version: JSON; likewise
m1cep:history:KIND:NAME       what was in force, newest first: a list of the same JSON without the value
m1cep:staging:...             a list that is being written; expires
m1cep:seen:WHAT:VALUE         an address or an account that was seen, for screening again: a hash, see ``results``
m1cep:account:NAME            intermediate results of an account: a hash, see ``results``
m1cep:alerts:NAME             its last alerts: a sorted set

KIND is list, param (PARAM), rule (values in place of those in a rule's front matter) or template (documents for other services:
fees, settlement, sharing of profits).
"""

from __future__ import annotations

import re

from streams.errors import UsageError

PREFIX = "m1cep:"
NOW = PREFIX + "now:"
KINDS = ("list", "param", "rule", "template")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


def check_name(name: str, what: str = "list") -> str:
    """The name.

    Raises:
        UsageError: it is not one that a rule could write.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:100]!r} is not a name of a {what}", "letters, digits, _ . - up to 100")
    return name


def now(kind: str, name: str) -> str:
    """The key of what is in force."""
    return f"{NOW}{kind}:{name}"


def contents(kind: str, name: str, version: str) -> str:
    """The key of contents."""
    return f"{PREFIX}list:{name}:{version}" if kind == "list" else f"{PREFIX}value:{kind}:{name}:{version}"


def history(kind: str, name: str) -> str:
    """The key of the history."""
    return f"{PREFIX}history:{kind}:{name}"


def seen(what: str, value: str) -> str:
    """The key of where an address or an account was seen."""
    return f"{PREFIX}seen:{what}:{value}"


def label(key: str) -> str:
    """``list sanctions`` of the key of what is in force; as ``Lookups.versions`` calls it."""
    kind, _, name = key.removeprefix(NOW).partition(":")
    return f"{kind} {name}"


def key_of(label: str) -> str:
    """The reverse of ``label``."""
    kind, _, name = label.partition(" ")
    return now(kind, name)
