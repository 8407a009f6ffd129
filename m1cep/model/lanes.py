"""Streams that arrive in lanes: each lane is in order by itself, and nothing is known of the order between them.

So a stream that was read in several places at once reaches one engine. The rules see one stream; event time, lateness and
idleness are those of each lane.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from m1cep.model.joined import Joined, join_source
from m1cep.model.stream import Branch, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Lanes = Mapping[str, Sequence[Stream]]

_S = TypeVar("_S", bound=Stream)


def lane(stream: Stream, name: str) -> Stream:
    """One lane of a base stream, as a stream of its own.

    Args:
        stream: the whole.
        name: of the lane; another than that of any other stream.
    """
    return _like(stream, replace(stream, name=name))


def over_lanes(source: Stream, lanes: Lanes, name: str) -> Stream:
    """What a rule reads, once the base streams arrive in lanes: a view with the columns of ``source``.

    Args:
        source: a base stream, a view, or the two sides of a join.
        lanes: of each base stream that ``source`` unites and whose rows matter; branches over others are left out.
        name: to follow the names of the streams and views, so that they are told from those that do not arrive in lanes.
    """
    if isinstance(source, Joined):
        joined = join_source(over_lanes(source.left, lanes, name), over_lanes(source.right, lanes, name))
        return _like(source, joined)
    names = tuple(c.name for c in source.columns)
    branches = source.branches or (Branch(source.name, names, (None,) * len(names)),)
    united = tuple(replace(b, stream=one.name) for b in branches for one in lanes.get(b.stream, ()))
    return _like(source, replace(source, name=f"{source.name} {name}", topic="", delay=0, branches=united))


def _like(source: Stream, derived: _S) -> _S:
    """Rows of the one are rows of the other: what was compiled for the one then runs on the other."""
    derived.__dict__["row_type"] = source.row_type
    return derived
