#!/usr/bin/env python3
"""Grafana's dashboards, as code: writes dashboards/*.json beside it.

    python3 docker/grafana/dashboards.py

A dashboard is rows of panels; a panel is a title, a unit, and expressions with what each line is called. tests/docker parses the
expressions, compares their metrics with what workers serve, and that the files are what this makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDE, _HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """One of a row's panels.

    Attributes:
        lines: expression and what its lines are called.
        unit: of Grafana: short, s, ops, bytes, percentunit.
        kind: timeseries, stat or table.
        red_above: from where on the value is painted red; None: never.
        about: what one should read from it.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    red_above: float | None = None
    about: str = ""


def p50_and_p99(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Two quantiles of a histogram."""
    label = f"{{{{{by}}}}} " if by else ""
    labels = f"le, {by}" if by else "le"
    return tuple(
        (f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))", f"{label}p{name}")
        for q, name in (("0.5", "50"), ("0.99", "99"))
    )


def rate(metric: str, by: str, legend: str = "") -> tuple[str, str]:
    """A counter, a second."""
    return f"sum by ({by}) (rate({metric}_total[$__rate_interval]))", legend or f"{{{{{by}}}}}"


def ratio(part: str, whole: str) -> str:
    """The one through the other."""
    return f"{part} / {whole}"


def quiet(expression: str) -> str:
    """0 where there is nothing to add up."""
    return f"({expression}) or vector(0)"


DASHBOARDS: dict[str, tuple[str, list[list[Panel]]]] = {
    "overview": (
        "M1CEP: overview",
        [
            [
                Panel("Events a second", ((quiet("sum(rate(m1cep_events_total[1m]))"), ""),), "ops", "stat"),
                Panel(
                    "Alerts in the last hour", ((quiet("sum(increase(m1cep_alerts_total[1h]))"), ""),), "short", "stat"
                ),
                Panel(
                    "Workers that are not ready", ((quiet("count(m1cep_worker_ready == 0)"), ""),), "short", "stat", 1
                ),
                Panel(
                    "Workers that do not answer",
                    ((quiet('count(up{job="m1cep"} == 0)'), ""),),
                    "short",
                    "stat",
                    about="Profiles that were not started count too.",
                ),
                Panel(
                    "Dead letters in the last hour",
                    ((quiet("sum(increase(m1cep_dead_letters_total[1h]))"), ""),),
                    "short",
                    "stat",
                    1,
                ),
                Panel(
                    "Late events in the last hour",
                    ((quiet("sum(increase(m1cep_late_events_total[1h]))"), ""),),
                    "short",
                    "stat",
                ),
            ],
            [
                Panel("Events", (rate("m1cep_events", "topic"),), "ops"),
                Panel(
                    "From record to acknowledged alert", p50_and_p99("m1cep_alert_latency_seconds"), "s", red_above=1
                ),
            ],
            [
                Panel("Alerts by rule", (rate("m1cep_alerts", "rule"),), "ops"),
                Panel(
                    "Not processed yet",
                    (("sum by (worker, agent) (m1cep_consumer_lag_records)", "{{worker}} {{agent}}"),),
                    red_above=50_000,
                ),
            ],
            [
                Panel("Ready", (("m1cep_worker_ready", "{{worker}}"),), about="1 while /readyz says yes."),
                Panel(
                    "Conditions of /readyz", (("min by (worker, check) (m1cep_worker_check)", "{{worker}} {{check}}"),)
                ),
            ],
        ],
    ),
    "rules": (
        "M1CEP: rules",
        [
            [
                Panel(
                    "Rules now",
                    (("m1cep_rule_info", ""),),
                    kind="table",
                    about="Mode and version of every rule, on every worker.",
                ),
            ],
            [
                Panel("Alerts", (rate("m1cep_alerts", "rule"),), "ops"),
                Panel("Matches, suppressed ones too", (rate("m1cep_rule_matches", "rule"),), "ops"),
            ],
            [
                Panel("Cost: cores", (rate("m1cep_rule_busy_seconds", "rule"),), "short", red_above=0.5),
                Panel(
                    "Cost of an event",
                    (
                        (
                            ratio(
                                "sum by (rule) (rate(m1cep_rule_busy_seconds_total[$__rate_interval]))",
                                "sum by (rule) (rate(m1cep_rule_events_total[$__rate_interval]))",
                            ),
                            "{{rule}}",
                        ),
                    ),
                    "s",
                ),
            ],
            [
                Panel("Matches that have begun", (("sum by (rule) (m1cep_rule_open_matches)", "{{rule}}"),)),
                Panel("Keys that are remembered", (("sum by (rule) (m1cep_rule_keys)", "{{rule}}"),)),
            ],
            [
                Panel(
                    "Quarantined", ((quiet('count(m1cep_rule_info{mode="quarantined"})'), "rules"),), "short", "stat", 1
                ),
                Panel("In shadow", ((quiet('count(m1cep_rule_info{mode="shadow"})'), "rules"),), "short", "stat"),
                Panel(
                    "Lists and parameters are current",
                    (("min by (worker) (m1cep_lookups_current)", "{{worker}}"),),
                    "short",
                    "stat",
                ),
                Panel(
                    "Changes of lists taken over",
                    (("sum by (worker) (rate(m1cep_lookups_changes_total[$__rate_interval]))", "{{worker}}"),),
                    "ops",
                ),
            ],
        ],
    ),
    "data-plane": (
        "M1CEP: data plane",
        [
            [
                Panel(
                    "Records not processed yet",
                    (("sum by (topic, partition) (m1cep_consumer_lag_records)", "{{topic}}/{{partition}}"),),
                    red_above=50_000,
                ),
                Panel(
                    "Event time behind the clock", (("max by (topic) (m1cep_watermark_lag_seconds)", "{{topic}}"),), "s"
                ),
            ],
            [
                Panel("Records in a batch", p50_and_p99("m1cep_batch_records", "agent")),
                Panel(
                    "Most records at once",
                    (("min by (worker, agent) (m1cep_batch_limit_records)", "{{worker}} {{agent}}"),),
                ),
                Panel("Cores in decoding and rules", (rate("m1cep_busy_seconds", "worker"),), "short", red_above=0.9),
            ],
            [
                Panel("Dead letters", (rate("m1cep_dead_letters", "topic"),), "ops"),
                Panel("Late events", (rate("m1cep_late_events", "topic, reason", "{{topic}} {{reason}}"),), "ops"),
                Panel("Repetitions dropped", (rate("m1cep_duplicate_events", "topic"),), "ops"),
            ],
            [
                Panel(
                    "Age of what is not saved",
                    (("max by (worker, agent) (m1cep_snapshot_age_seconds)", "{{worker}} {{agent}}"),),
                    "s",
                    red_above=60,
                ),
                Panel(
                    "Size of a snapshot",
                    (("sum by (worker, agent) (m1cep_snapshot_bytes)", "{{worker}} {{agent}}"),),
                    "bytes",
                ),
                Panel("Saving a snapshot", p50_and_p99("m1cep_snapshot_duration_seconds", "agent"), "s"),
                Panel("Snapshots not taken", (rate("m1cep_snapshot_failures", "worker"),), "ops", red_above=0.001),
            ],
            [
                Panel("Broker silent", (("m1cep_broker_silent_seconds", "{{worker}}"),), "s", red_above=5),
                Panel("Event loop held up", (("m1cep_event_loop_delay_seconds", "{{worker}}"),), "s", red_above=1),
                Panel(
                    "Messages not acknowledged", (("sum by (worker) (m1cep_unacknowledged_messages)", "{{worker}}"),)
                ),
                Panel("Partitions held back", (("sum by (worker) (m1cep_held_back_partitions)", "{{worker}}"),)),
            ],
            [
                Panel(
                    "Found in the cache",
                    (
                        (
                            ratio(
                                'sum by (worker) (rate(m1cep_cache_reads_total{result="hit"}[$__rate_interval]))',
                                "sum by (worker) (rate(m1cep_cache_reads_total[$__rate_interval]))",
                            ),
                            "{{worker}}",
                        ),
                    ),
                    "percentunit",
                ),
                Panel(
                    "The ledger's replica behind",
                    (("max by (shard) (m1cep_replica_lag_seconds)", "shard {{shard}}"),),
                    "s",
                    red_above=10,
                ),
                Panel("Postings", (rate("m1cep_ledger_postings", "result"),), "ops"),
                Panel("Answers of the pre-trade check", (rate("m1cep_pretrade_answers", "outcome"),), "ops"),
            ],
        ],
    ),
    "grid": (
        "M1CEP: grids",
        [
            [
                Panel("State", (("max by (grid, state) (m1cep_grid_state)", "{{grid}} {{state}}"),), kind="table"),
                Panel(
                    "The books cannot explain",
                    (("max by (grid) (abs(m1cep_grid_unexplained))", "{{grid}}"),),
                    "short",
                    "stat",
                    0.000001,
                ),
            ],
            [
                Panel("Profit of completed pairs", (("max by (grid) (m1cep_grid_profit)", "{{grid}}"),)),
                Panel("Floating profit or loss", (("max by (grid) (m1cep_grid_floating_pnl)", "{{grid}}"),)),
            ],
            [
                Panel("Fills", (("max by (grid) (m1cep_grid_fills)", "{{grid}}"),)),
                Panel("Generations", (("max by (grid) (m1cep_grid_generations)", "{{grid}}"),)),
                Panel("Open orders", (("max by (grid) (m1cep_grid_open_orders)", "{{grid}}"),)),
            ],
        ],
    ),
    "custody": (
        "M1CEP: custody",
        [
            [
                Panel(
                    "Signers and coordinator that are ready",
                    (('m1cep_worker_ready{worker=~"signer-.*|coordinator"}', "{{worker}}"),),
                    "short",
                    "stat",
                ),
                Panel(
                    "Do not answer",
                    ((quiet('count(up{worker=~"signer-.*|coordinator"} == 0)'), ""),),
                    "short",
                    "stat",
                    1,
                ),
            ],
            [
                Panel(
                    "Letters read",
                    (
                        (
                            'sum by (worker) (rate(m1cep_records_total{worker=~"signer-.*|coordinator"}[$__rate_interval]))',
                            "{{worker}}",
                        ),
                    ),
                    "ops",
                ),
                Panel(
                    "No letter of anybody known",
                    (
                        (
                            'sum by (worker) (rate(m1cep_dead_letters_total{worker=~"signer-.*|coordinator"}[$__rate_interval]))',
                            "{{worker}}",
                        ),
                    ),
                    "ops",
                    red_above=0.001,
                ),
            ],
            [
                Panel(
                    "Broker silent",
                    (('m1cep_broker_silent_seconds{worker=~"signer-.*|coordinator"}', "{{worker}}"),),
                    "s",
                    red_above=5,
                ),
                Panel(
                    "Event loop held up",
                    (('m1cep_event_loop_delay_seconds{worker=~"signer-.*|coordinator"}', "{{worker}}"),),
                    "s",
                    red_above=1,
                ),
            ],
        ],
    ),
}


def dashboard(uid: str, title: str, rows: list[list[Panel]]) -> dict[str, Any]:
    """What Grafana reads."""
    panels = []
    for y, row in enumerate(rows):
        wide = _WIDE // len(row)
        for x, panel in enumerate(row):
            place = {"x": x * wide, "y": y * _HEIGHT, "w": wide, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel)})
    return {
        "uid": f"m1cep-{uid}",
        "title": title,
        "tags": ["m1cep"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [
            {"type": "dashboards", "title": "M1CEP", "tags": ["m1cep"], "asDropdown": True, "includeVars": False}
        ],
        "panels": panels,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    colour = "thresholds" if panel.kind == "stat" else "palette-classic"
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": colour},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        defaults["min"] = None if "pnl" in panel.lines[0][0] or "profit" in panel.lines[0][0] else 0
        style = "line" if panel.red_above is not None else "off"
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 8,
            "showPoints": "never",
            "thresholdsStyle": {"mode": style},
        }
    table = panel.kind == "table"
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend or "__auto",
            "instant": table,
            "range": not table,
            "format": "table" if table else "time_series",
        }
        for number, (expression, legend) in enumerate(panel.lines)
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {}
        if panel.kind != "stat"
        else {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"},
    }


def texts() -> dict[str, str]:
    """Every file by its name."""
    made = {name: dashboard(name, title, rows) for name, (title, rows) in DASHBOARDS.items()}
    return {f"{name}.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    for file_name, text in texts().items():
        (FOLDER / file_name).write_text(text)
