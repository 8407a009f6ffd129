"""What must come out: ``m1cep replay`` of the same records, and how what did come out is held against it."""

import io
from collections import Counter
from functools import cache

import orjson

from m1cep import compile_rule
from streams.files import load_streams
from streams.replay import replay


class Broken(AssertionError):  # noqa: N818 - what is broken is the guarantee
    """The guarantee does not hold; says how."""


@cache
def streams():
    """The built-in streams."""
    return load_streams()


@cache
def compiled(rules):
    """Rules from pairs of name and text."""
    return [compile_rule(text, streams(), f"{name}.sql") for name, text in rules]


def expected(records, rules, seen=10_000):
    """Alerts by id, as the bytes that ``m1cep replay`` writes.

    Args:
        records: in the order of sending.
        rules: text by name.
        seen: of the last how many events of a stream repetitions are dropped.
    """
    lines = {}
    for sent in records:
        if sent.value is not None:
            lines.setdefault(sent.stream, []).append(sent.value.replace(b"\n", b" "))
    inputs = {name: (streams()[name], io.BytesIO(b"\n".join(found) + b"\n")) for name, found in lines.items()}
    alerts = {}

    def note(alert):
        assert alerts.setdefault(alert.id, alert.to_json()) == alert.to_json(), "the oracle contradicts itself"

    replay(compiled(tuple(rules.items())), inputs, on_alert=note, seen=seen)
    return alerts


def compare(values, wanted):
    """Hold the alerts that came against those of the oracle: all of them, no others, equal ids with equal contents.

    Returns:
        How many came more than once.

    Raises:
        Broken: one is missing, invented, or comes with two contents.
    """
    came = {}
    for value in values:
        came.setdefault(orjson.loads(value)["id"], []).append(bytes(value))
    missing, invented = wanted.keys() - came.keys(), came.keys() - wanted.keys()
    differing = [i for i, found in came.items() if i in wanted and set(found) != {wanted[i]}]
    if missing or invented or differing:
        rules = Counter(orjson.loads(wanted[i])["rule"] for i in missing)
        rules_invented = Counter(orjson.loads(came[i][0])["rule"] for i in invented)
        example = came[differing[0]][0] + b" is " + wanted[differing[0]] if differing else b""
        raise Broken(
            f"of {len(wanted)} alerts {len(missing)} are missing {dict(rules)}, {len(invented)} were invented "
            f"{dict(rules_invented)}, {len(differing)} differ {example[:600]!r}"
        )
    return sum(len(found) - 1 for found in came.values())
