"""Rules with what is known of them: text and origin, how they do, who deployed which version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m1cep import compile_rule
from m1cep.errors import RuleError
from streams.rules.record import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep import Rule, Stream
    from streams.rules.record import Entry, RuleRecord
    from streams.web.dashboard.overview import Overview, WorkerStatus

MOST_RULES = 1_000
#: Of several workers the gravest counts.
_MODES = ("active", "shadow", "proposed", "disabled", "quarantined")
_COUNTED = ("events", "matches", "alerts", "open", "busy_us")


class Rules:
    """All rules by id.

    Args:
        given: those of files, with their origin (``packaged`` or ``file``).
        streams: as declared: what deployed rules are compiled against.
    """

    def __init__(self, given: Iterable[tuple[Rule, str]], streams: Mapping[str, Stream]) -> None:
        self._given = {rule.id: (rule, origin) for rule, origin in given}
        self._streams = streams
        self._deployed: dict[str, RuleRecord] = {}
        self._facts: dict[str, dict[str, Any]] = {}  # of deployed texts, by rule

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """A record of m1cep.rules.v1.

        Raises:
            ShellError: it is none.
        """
        name = (key or b"").decode(errors="replace")
        if value is None:
            self._deployed.pop(name, None)
            self._facts.pop(name, None)
            return
        record = parse(key, value)
        if name not in self._deployed and len(self._deployed) >= MOST_RULES:
            return
        self._deployed[name] = record
        text = (record.in_force or record).text  # a proposal changes nothing; where it is all there is, it is shown
        self._facts[name] = self._facts_of(text, name) if text is not None else {}

    def _facts_of(self, text: str, name: str) -> dict[str, Any]:
        try:
            return _facts(compile_rule(text, self._streams, f"{name}.sql"))
        except RuleError as error:  # made for streams that this process does not know, or by another version
            return {"sql": text, "summary": "", "source": "", "severity": None, "problem": error.message}

    def about(self, rule: str) -> dict[str, Any] | None:
        """What an alert's detail shows of its rule, in the version in force; None: it is not known here."""
        deployed = self._deployed.get(rule)
        if deployed and self._facts.get(rule):
            return {"id": rule, "version": (deployed.in_force or deployed).version, **self._facts[rule]}
        if rule in self._given:
            found = self._given[rule][0]
            return {"id": rule, "version": found.version, **_facts(found)}
        return None

    def streams_of(self, rule: str) -> tuple[str, ...]:
        """Names of the base streams that a rule reads; empty: it is not known here."""
        if self._facts.get(rule):
            return tuple(self._facts[rule].get("streams", ()))
        return self._given[rule][0].streams if rule in self._given else ()

    def plain(self, overview: Overview, now_ms: int) -> dict[str, Any]:
        """The document ``rules``."""
        told = _told(overview.workers.values())
        names = sorted(self._given.keys() | self._deployed.keys() | told.keys())
        return {"rules": [self._one(name, told.get(name, {}), overview, now_ms) for name in names]}

    def _one(self, name: str, told: Mapping[str, Any], overview: Overview, now_ms: int) -> dict[str, Any]:
        deployed = self._deployed.get(name)
        entry = deployed and (deployed.in_force or deployed)
        about = self.about(name) or {"id": name, "version": told.get("version"), "sql": None, "params": {}}
        origin = "topic" if self._facts.get(name) else self._given[name][1] if name in self._given else "file"
        events = told.get("events")
        return {
            "id": name,
            "version": told.get("version") or about["version"],
            "severity": about.get("severity") or told.get("severity"),
            "summary": about.get("summary", ""),
            "source": about.get("source", ""),
            "action": about.get("action"),
            "mode": told.get("mode") or (entry.mode if entry else "active"),
            "origin": origin,
            "running": bool(told),
            "by": entry.by if entry else None,
            "note": entry.note if entry else None,
            "approved_by": entry.approved_by if entry else None,
            "time_ms": entry.time_ms if entry else None,
            "proposed": _entry(deployed) if deployed and deployed.mode == "proposed" else None,
            "sql": about["sql"],
            "params": about.get("params", {}),
            "events": events,
            "matches": told.get("matches"),
            "alerts": told.get("alerts"),
            "alerts_per_h": overview.alerts_per_hour(name, now_ms),
            "open": told.get("open"),
            "cost_us_per_event": round(told["busy_us"] / events, 3) if events and told.get("busy_us") else None,
            "reason": told.get("reason") or about.get("problem"),
            "before": [_entry(one) for one in deployed.before if one is not entry] if deployed else [],
        }


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "version": one.version,
        "by": one.by,
        "time_ms": one.time_ms,
        "mode": one.mode,
        "note": one.note,
        "text": one.text,
    }


def _told(workers: Iterable[WorkerStatus]) -> dict[str, dict[str, Any]]:
    """What workers say of their rules, put together."""
    found: dict[str, dict[str, Any]] = {}
    for worker in workers:
        for rule in worker.rules:
            known = found.setdefault(rule.id, {"mode": "active", **dict.fromkeys(_COUNTED, 0)})
            for name in _COUNTED:
                known[name] += getattr(rule, name) or 0
            known["version"], known["severity"] = rule.version, rule.severity
            if rule.mode in _MODES and _MODES.index(rule.mode) >= _MODES.index(known["mode"]):
                known["mode"], known["reason"] = rule.mode, rule.reason
    return found


def _facts(rule: Rule) -> dict[str, Any]:
    return {
        "severity": rule.severity,
        "summary": rule.summary,
        "source": rule.matter.source,
        "action": rule.action,
        "sql": rule.text,
        "params": {name: str(value) for name, value in rule.matter.params.items()},
        "streams": rule.streams,
    }
