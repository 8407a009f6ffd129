"""The rules of an engine, put together by what they read; and how other rules take their places between two batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m1cep.channel import Channel, Oversight, Running
from m1cep.errors import EngineError
from m1cep.runtime.lookups import bound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.model.stream import Stream
    from m1cep.rule import Rule
    from m1cep.runtime.lookups import Lookups


class Layout:
    """Channels, one for each source, with the rules on it.

    Args:
        rules: what is to run.
        oversight: of the engine.
        known: names of base streams that are there, whether rules know of them or not.

    Attributes:
        streams: base streams that are read, by name.
        known: names of all base streams that there are.
        channels: by the name of their source.
        by_input: channels that read a base stream.

    Raises:
        EngineError: two rules have one id, or declare one stream differently.
    """

    def __init__(self, rules: Iterable[Rule], oversight: Oversight, known: Iterable[str] = ()) -> None:
        self.rules = tuple(rules)
        self.streams: dict[str, Stream] = {}
        self.known: set[str] = set(known)
        self.channels: dict[str, Channel] = {}
        self.by_input: dict[str, list[Channel]] = {}
        self._oversight = oversight
        ids: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.id in ids:
                raise EngineError(
                    f"expected rules with different ids, got {rule.id!r} twice: give one another id in its front matter"
                )
            ids.add(rule.id)
            self._add(rule, index)

    def _add(self, rule: Rule, index: int) -> None:
        self.known.update(rule.known_streams)
        channel = self.channels.get(rule.source.name)
        if channel is None:
            channel = Channel(len(self.channels), rule.source, rule.inputs, self._oversight)
            self.channels[rule.source.name] = channel
            for stream in rule.inputs:
                if self.streams.setdefault(stream.name, stream) != stream:
                    raise EngineError(
                        f"stream {stream.name!r} is declared differently by two rules: compile all with the same streams"
                    )
                self.by_input.setdefault(stream.name, []).append(channel)
        channel.rules.append(Running(rule, index))

    def look_up(self, lookups: Lookups) -> None:
        """Give the rules lists and parameters as they are now.

        Raises:
            EngineError: one is not there, or is of the wrong type; then nothing has changed.
        """
        running = [r for c in self.channels.values() for r in c.rules if r.looks_up]
        values = [bound(r.rule.needs, lookups) for r in running]  # all of them before any is changed
        for r, found in zip(running, values, strict=True):
            r.look_up(found, lookups)

    def take_over(self, before: Layout) -> None:
        """Let rules of ``before`` that are here in the same version go on here; ``before`` must not be used any more.

        A channel that is new here knows how far its streams have come from the channels that read them before, so the same
        events are late for all.
        """
        self.known |= before.known
        for name, fresh in self.channels.items():
            old = before.channels.get(name)
            if old is None or not old.reads_like(fresh):
                for stream in fresh.inputs:
                    fresh.begin_at(stream.name, before.by_input.get(stream.name, ()))
                fresh.merge.advance(
                    max((c.silent_in(fresh) for c in before.channels.values()), default=fresh.merge.silent)
                )
                continue
            going = {(r.rule.id, r.rule.version): r for r in old.rules}
            old.rules = [going.get((r.rule.id, r.rule.version), r) for r in fresh.rules]
            for running, new in zip(old.rules, fresh.rules, strict=True):
                running.index = new.index
            old.index = fresh.index
            self.channels[name] = old
        self.by_input = {
            stream: [self.channels[c.source.name] for c in channels] for stream, channels in self.by_input.items()
        }
