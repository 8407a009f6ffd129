"""Every rule with what was decided about it and what workers say of it, for people and for ``--json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streams.rules.record import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from m1cep import Rule
    from streams.rules.record import RuleRecord

_COUNTS = ("events", "matches", "alerts", "open", "keys", "busy_us")


def rows(
    base: Iterable[Rule], records: Mapping[str, RuleRecord], workers: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """One dictionary a rule, by id.

    Args:
        base: of the files with which workers were started.
        records: of the topic, by id.
        workers: their status records; what they count is added up.
    """
    files = {rule.id: rule for rule in base}
    told: dict[str, list[Mapping[str, Any]]] = {}
    for worker in workers:
        for one in worker["rules"]:
            told.setdefault(one["id"], []).append(one)
    return [
        _row(name, files.get(name), records.get(name), told.get(name, []))
        for name in sorted(files.keys() | records.keys() | told.keys())
    ]


def _row(name: str, rule: Rule | None, record: RuleRecord | None, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    entry = record.in_force if record else None
    counts = {what: sum(one[what] for one in told) for what in _COUNTS}
    modes = {one["mode"] for one in told}
    mode = entry.mode if entry else "active"
    if record is not None and entry is None and rule is None:
        mode = "proposed"
    proposed = record if record is not None and record.mode == "proposed" else None
    reasons = dict.fromkeys(one["reason"] for one in told if one["reason"])
    return {
        "id": name,
        "version": entry.version
        if entry
        else rule.version
        if rule
        else record.version
        if record
        else told[0]["version"],
        "mode": "quarantined" if "quarantined" in modes else mode,
        "origin": "topic" if entry and entry.text is not None else "file",
        "by": (entry or proposed).by if (entry or proposed) else None,  # type: ignore[union-attr]
        "approved_by": entry.approved_by if entry else None,
        "time_ms": entry.time_ms if entry else None,
        "note": entry.note if entry else "",
        "workers": len(told),
        **counts,
        "cost_us_per_event": counts["busy_us"] / counts["events"] if counts["events"] else None,
        "reason": "; ".join(reasons) or None,
        "proposed": {"version": proposed.version, "by": proposed.by, "mode": proposed.proposed_mode}
        if proposed
        else None,
        "before": [msgspec.to_builtins(plain(one)) for one in record.before] if record else [],
    }
