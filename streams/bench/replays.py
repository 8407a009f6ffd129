"""Files through rules, against decoding alone: kinds of rules, the packaged ones, many rules."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec

import m1cep
from streams.bench.data import MANY_SYMBOLS, write_mixed, write_orders
from streams.bench.figures import Row, Section, least, most
from streams.bench.measure import by_turns, seconds
from streams.bench.rules import KINDS, Kind, per_symbol
from streams.files import load_rules, load_streams
from streams.lookups import load_lookups
from streams.replay import BATCH_BYTES, Counts, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from streams.bench.setup import Setup

OF_DECODE_ONE_RULE = 0.6
OF_DECODE_PACK = 0.25
TIMES_ONE_RULE = 8


def decode_files(files: Mapping[str, Path]) -> None:
    """The floor: each line of each file to a typed row, one after the other."""
    streams = load_streams()
    for name, file in files.items():
        decode = msgspec.json.Decoder(streams[name].row_type, strict=False).decode
        with file.open("rb", buffering=BATCH_BYTES) as lines:
            for line in lines:
                decode(line)


def replay_files(rules: Sequence[m1cep.Rule], files: Mapping[str, Path]) -> Counts:
    """What ``m1cep replay`` does, in this process, with the alerts thrown away."""
    streams = load_streams()
    with ExitStack() as stack:
        inputs = {
            name: (streams[name], stack.enter_context(file.open("rb", buffering=BATCH_BYTES)))
            for name, file in files.items()
        }
        return replay(list(rules), inputs, on_alert=lambda _alert: None, lookups=load_lookups())


def kinds(setup: Setup) -> Section:
    """One rule of each kind."""
    streams = load_streams()
    files = {"orders": write_orders(setup.folder / "orders.ndjson", setup.events)}
    section = Section("kinds", f"one rule, replay of {setup.events:,} orders")
    known: dict[str, list[m1cep.Rule]] = {}
    refused: list[Row] = []
    for kind in KINDS:
        try:
            known[kind.name] = [m1cep.compile_rule(kind.text, streams, kind.name)]
        except m1cep.RuleError as error:
            refused.append(Row(kind.name, {}, note=f"refused: {error.message}"))
    taken, alerts = _against_decode(known, files, setup)
    floor = setup.events / taken["decode"]
    section.rows.append(Row("decode", {"events_per_s": round(floor), "of_decode": 1.0}))
    for kind in KINDS:
        if kind.name in known:
            section.rows.append(_kind(kind, setup.events / taken[kind.name], floor, alerts[kind.name], setup))
    section.rows.extend(refused)
    return section


def _kind(kind: Kind, events_per_s: float, floor: float, alerts: int, setup: Setup) -> Row:
    figures: dict[str, float] = {"events_per_s": round(events_per_s), "of_decode": round(events_per_s / floor, 3)}
    targets = [least("of_decode", OF_DECODE_ONE_RULE)]
    if (flink := setup.flink.events_per_s.get(kind.name)) is not None and kind.times_flink is not None:
        figures |= {"flink_events_per_s": flink, "times_flink": round(events_per_s / flink, 1)}
        targets.append(least("times_flink", kind.times_flink))
    return Row(kind.name, figures | {"alerts": alerts}, tuple(targets))


def pack(setup: Setup) -> Section:
    """All packaged rules over all built-in streams."""
    files, events = write_mixed(setup.folder, setup.events)
    rules = load_rules(None, load_streams())
    taken, alerts = _against_decode({"all": rules}, files, setup)
    rates = {name: events / s for name, s in taken.items()}
    section = Section("pack", f"all packaged rules, replay of {events:,} orders, fills, account and market events")
    section.rows.append(Row("decode", {"events_per_s": round(rates["decode"]), "of_decode": 1.0}))
    figures = {"events_per_s": round(rates["all"]), "of_decode": round(rates["all"] / rates["decode"], 3)}
    section.rows.append(
        Row(f"{len(rules)} rules", figures | {"alerts": alerts["all"]}, (least("of_decode", OF_DECODE_PACK),))
    )
    return section


def many(setup: Setup) -> Section:
    """1, 10, 100 rules that differ by a constant."""
    streams = load_streams()
    files = {"orders": write_orders(setup.folder / "many.ndjson", setup.events, MANY_SYMBOLS)}
    sets = {
        f"{count} rules" if count > 1 else "1 rule": [
            m1cep.compile_rule(text, streams, f"rule-{n}") for n, text in enumerate(per_symbol(count))
        ]
        for count in (1, 10, 100)
    }
    taken, alerts = _against_decode(sets, files, setup)
    section = Section("rules", f"rules for one symbol each, replay of {setup.events:,} orders in 100 symbols")
    one = taken["1 rule"]
    for name in sets:
        figures = {"events_per_s": round(setup.events / taken[name]), "us_per_event": _us(taken[name] / setup.events)}
        figures |= {"times_one_rule": round(taken[name] / one, 2), "alerts": alerts[name]}
        targets = (most("times_one_rule", TIMES_ONE_RULE),) if name == "100 rules" else ()
        section.rows.append(Row(name, figures, targets))
    return section


def _against_decode(
    sets: Mapping[str, Sequence[m1cep.Rule]], files: Mapping[str, Path], setup: Setup
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of decoding and of each set of rules; alerts of each set."""
    alerts: dict[str, int] = {}

    def run(name: str, rules: Sequence[m1cep.Rule]) -> None:
        alerts[name] = replay_files(rules, files).alerts

    works: dict[str, Callable[[], float]] = {"decode": partial(seconds, partial(decode_files, files))}
    works |= {name: partial(seconds, partial(run, name, rules)) for name, rules in sets.items()}
    return by_turns(works, setup.runs, setup.step), alerts


def _us(value_s: float) -> float:
    return round(value_s * 1e6, 3)
