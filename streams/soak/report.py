"""The report of a soak: one document of plain values, the verdict in it, and the same for people in Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from streams.demo.score import percentiles
from streams.soak import memory
from streams.soak.compare import NAMED
from streams.soak.faults import GIVE_UP_S, SESSION_S, Fault, bursts
from streams.soak.options import FAULTS, TO_WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.soak.compare import Comparison
    from streams.soak.memory import MemoryVerdict
    from streams.soak.options import SoakOptions
    from streams.soak.watch import Watch

QUIET_AFTER_S = 5.0  # alerts of events sent less than this after a fault's recovery are not counted as undisturbed


def document(
    options: SoakOptions,
    about: dict[str, Any],
    rules: int,
    watch: Watch,
    faults: Sequence[Fault],
    letters: dict[str, int],
    comparison: Comparison,
) -> dict[str, Any]:
    """Everything that is known in the end.

    Args:
        options: what was asked for.
        about: the machine.
        rules: how many ran.
        watch: what was seen.
        faults: what was done to the workers.
        letters: ``dead_letters`` and ``late``, each source record counted once.
        comparison: of the alerts.
    """
    assert watch.end is not None
    end, samples = watch.end, watch.samples
    load_s = watch.marks.walls_s[-1] - watch.marks.walls_s[0] if watch.marks.walls_s else 0.0
    verdict = memory.judge(watch.lives())
    not_processed = max(0, watch.sent - watch.processed)
    reasons = _reasons(comparison, verdict, not_processed, end.damaged - letters["dead_letters"])
    every = sorted([*faults, *_bursts_done(options, load_s)], key=lambda fault: fault.at_s)
    return {
        "ok": not reasons,
        "reasons": reasons,
        "machine": about,
        "seed": options.seed,
        "rules": rules,
        "workers": options.workers,
        "broker": "a broker that was given" if options.broker else "embedded broker",
        "rate": options.rate,
        "faults_asked": list(options.faults),
        "load_s": round(load_s, 1),
        "seconds": round(samples[-1].at_s, 1) if samples else 0.0,
        "events": end.events,
        "events_per_s": round(end.events / load_s) if load_s else 0,
        "sent_twice": end.repeated,
        "damaged": end.damaged,
        "not_processed": not_processed,
        **letters,
        "alerts": {
            "expected": comparison.expected,
            "received": comparison.received,
            "repeated": comparison.repeated,
            "missing": len(comparison.missing),
            "invented": len(comparison.invented),
            "different": len(comparison.different),
            "examples": {
                "missing": comparison.missing[:NAMED],
                "invented": comparison.invented[:NAMED],
                "different": comparison.different[:NAMED],
            },
            "by_rule": comparison.by_rule,
        },
        "latency_ms": percentiles(ms for _, ms in watch.latencies),
        "latency_undisturbed_ms": percentiles(_undisturbed(watch, every)),
        "faults": [fault.to_dict() for fault in every],
        "ended_by_itself": [
            {"at_s": round(e.at_s - watch.began_s, 1), "worker": e.worker, "code": e.code, "words": e.words}
            for e in watch.crew.endings
        ],
        "memory": {
            "flat": verdict.flat,
            "lives": verdict.lives,
            "median_mb": verdict.median_mb,
            "highest_mb": verdict.highest_mb,
            "slope_mb_per_min": verdict.slope_mb_per_min,
            "growth_mb": verdict.growth_mb,
            "observed_s": verdict.observed_s,
            "allowed_mb": verdict.allowed_mb,
            "broker_mb": round(max((s.broker_mb or 0.0 for s in samples), default=0.0), 1),
        },
        "samples": [
            {
                "at_s": s.at_s,
                "sent": s.sent,
                "processed": s.processed,
                "lag": s.lag,
                "alerts": s.alerts,
                "rss_mb": dict(s.rss_mb),
                "broker_mb": s.broker_mb and round(s.broker_mb, 1),
            }
            for s in samples
        ],
    }


def _reasons(comparison: Comparison, verdict: MemoryVerdict, not_processed: int, letters_missing: int) -> list[str]:
    """Why the soak has failed; empty when it has not."""
    found = [
        f"{len(ids):,} alerts {what}"
        for what, ids in (
            ("missing", comparison.missing),
            ("invented", comparison.invented),
            ("with other contents", comparison.different),
        )
        if ids
    ]
    if not_processed:
        found.append(f"{not_processed:,} records were never processed")
    if letters_missing:
        found.append(f"{letters_missing:+,} dead letters missing")
    if verdict.flat is False:
        found.append(f"memory grew by {verdict.growth_mb:g} MB, more than {verdict.allowed_mb:g} MB")
    return found


def _bursts_done(options: SoakOptions, load_s: float) -> Iterable[Fault]:
    return [Fault("burst", None, start, length) for start, length, _ in bursts(options) if start < load_s]


def _undisturbed(watch: Watch, faults: Iterable[Fault]) -> list[float]:
    spans = [
        (fault.at_s, fault.at_s + max(fault.length_s, fault.recovered_s or GIVE_UP_S) + QUIET_AFTER_S)
        if fault.kind in TO_WORKERS
        else (fault.at_s, fault.at_s + fault.length_s + QUIET_AFTER_S)
        for fault in faults
    ]
    return [
        ms
        for sent_s, ms in watch.latencies
        if not any(begin <= sent_s - watch.started_s <= end for begin, end in spans)
    ]


def markdown(doc: dict[str, Any], plot: str | None = None) -> str:
    """The document for people.

    Args:
        doc: of ``document``.
        plot: how the picture is referred to, if there is one.
    """
    parts = [f"# Soak: {_verdict(doc)}", _about(doc)]
    if plot:
        parts.append(f"![Memory, lag, events and alerts over time; faults as vertical lines]({plot})")
    parts += ["## Alerts", _alerts(doc), "## Load", _load(doc), "## Faults", _faults(doc), "## Memory", _memory(doc)]
    return "\n\n".join(parts) + "\n"


def _verdict(doc: dict[str, Any]) -> str:
    return "nothing missing, nothing invented, memory flat" if doc["ok"] and doc["memory"]["flat"] else _unhappy(doc)


def _unhappy(doc: dict[str, Any]) -> str:
    if doc["ok"]:
        return "nothing missing, nothing invented (too short to judge memory)"
    return "; ".join(doc["reasons"])


def _about(doc: dict[str, Any]) -> str:
    m = doc["machine"]
    return (
        f"`m1cep soak`, seed {doc['seed']}: {doc['load_s']:,.0f} s of load at {doc['rate']:,} events/s, {doc['rules']} rules, "
        f"{doc['workers']} workers, {doc['broker']}, faults {', '.join(doc['faults_asked']) or 'none'}. "
        f"{m['cpu']}, {m['cores']} cores, Python {m['python']}, load of the machine {m['load_1_min']}. "
        "What should come is what `m1cep replay` makes of the same events."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _alerts(doc: dict[str, Any]) -> str:
    alerts = doc["alerts"]
    rows = [
        ("expected", f"{alerts['expected']:,}"),
        ("received, each id once", f"{alerts['received']:,}"),
        ("missing", f"{alerts['missing']:,}"),
        ("invented", f"{alerts['invented']:,}"),
        ("with other contents", f"{alerts['different']:,}"),
        ("received again with the same contents (at-least-once)", f"{alerts['repeated']:,}"),
    ]
    by_rule = ", ".join(f"{rule} {count:,}" for rule, count in sorted(alerts["by_rule"].items(), key=lambda i: -i[1]))
    examples = "".join(f"\n\nFirst {kind}: {', '.join(ids)}." for kind, ids in alerts["examples"].items() if ids)
    return _table(("", "alerts"), rows) + f"\n\nBy rule: {by_rule or 'none'}." + examples


def _load(doc: dict[str, Any]) -> str:
    every, quiet = doc["latency_ms"], doc["latency_undisturbed_ms"]
    rows = [
        ("events", f"{doc['events']:,} in {doc['load_s']:,.0f} s: {doc['events_per_s']:,} a second"),
        ("sent twice", f"{doc['sent_twice']:,}"),
        ("damaged records, dead letters", f"{doc['damaged']:,}, {doc['dead_letters']:,}"),
        ("late events", f"{doc['late']:,}"),
        ("never processed", f"{doc['not_processed']:,}"),
        ("alert latency, all", f"p50 {every['p50']} ms, p99 {every['p99']} ms"),
        ("alert latency, no fault near", f"p50 {quiet['p50']} ms, p99 {quiet['p99']} ms"),
    ]
    note = (
        "Latency is from the sending of the event that completes an alert to the alert being readable. Event time runs 60 times "
        "as fast as the clock here; an event waits until the other topics of its partition have come as far. "
        "To the embedded broker events go in few, large batches, and wait for them: a quarter of a second in ten minutes."
    )
    return _table(("", ""), rows) + "\n\n" + note


def _faults(doc: dict[str, Any]) -> str:
    rows = []
    for kind, what in FAULTS.items():
        found = [fault for fault in doc["faults"] if fault["kind"] == kind]
        if found:
            lasted = statistics.median(fault["length_s"] for fault in found)
            rows.append((f"{kind}: {what}", len(found), f"{lasted:.1f} s", *_recovery(kind, found)))
    head = ("fault", "times", "lasted (median)", "whole again (median)", "(longest)")
    text = _table(head, rows) if rows else "None."
    text += (
        "\n\nBoth from the fault's beginning. Whole again: everything that had been sent when it began is processed and in a "
        f"snapshot, the fault is over, every worker is ready. The group misses a worker that is gone after {SESSION_S:.0f} s."
    )
    ended = doc["ended_by_itself"]
    if ended:
        text += f"\n\nWorkers that ended by themselves and were started again: {len(ended)}.\n\n"
        text += _table(("at", "worker", "exit code", "last words"), [_ended(e) for e in ended])
    return text


def _recovery(kind: str, faults: Sequence[dict[str, Any]]) -> tuple[str, str]:
    if kind not in TO_WORKERS:
        return "", ""
    times = [fault["recovered_s"] for fault in faults if fault["recovered_s"] is not None]
    not_seen = f" ({len(faults) - len(times)} not)" if len(times) < len(faults) else ""
    return (f"{statistics.median(times):.1f} s", f"{max(times):.1f} s{not_seen}") if times else ("", not_seen)


def _ended(ending: dict[str, Any]) -> tuple[Any, ...]:
    return f"{ending['at_s']:.0f} s", ending["worker"], ending["code"], ending["words"][-300:]


def _memory(doc: dict[str, Any]) -> str:
    m = doc["memory"]
    if m["flat"] is None:
        verdict = "Too short to judge."
    else:
        verdict = (
            f"{'Flat' if m['flat'] else 'Growing'}: {m['slope_mb_per_min']:+g} MB a minute, {m['growth_mb']:g} MB over the "
            f"{m['observed_s']:.0f} s observed; allowed are {m['allowed_mb']:g} MB."
        )
    how = (
        f"Judged by the median of the slopes between all samples of one process that lie at least {memory.APART_S:.0f} s apart, "
        f"without the first {memory.FILLING_S:.0f} s of the soak, in which windows fill, and the first {memory.WARM_UP_S:.0f} s "
        f"of each process, over {m['lives']} processes; allowed are {memory.ALLOWED_SHARE:.0%} of the median, or "
        f"{memory.ALLOWED_MB:.0f} MB."
    )
    rows = [
        ("a worker, median", f"{m['median_mb']:g} MB"),
        ("a worker, highest", f"{m['highest_mb']:g} MB"),
        ("embedded broker, which keeps everything, highest", f"{m['broker_mb']:g} MB"),
    ]
    return f"{verdict} {how}\n\n" + _table(("resident memory", ""), rows)
