"""What the demo says at its end, for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from m1cep.ledger.liabilities.verify_balance import shown
from streams.demo.page import counted, money


def summary_table(summary: dict[str, Any]) -> Table:
    """The summary as a table."""
    table = Table(title="What happened", title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    for name, text in {**_flow(summary), **_parts(summary)}.items():
        table.add_row(Text(name), Text(text))
    return table


def _flow(summary: dict[str, Any]) -> dict[str, str]:
    attacks, latency = summary["attacks"], summary["alert_latency_ms"]
    data = "real Bitstamp orders and a synthetic account flow" if summary["real_data"] else "a synthetic flow only"
    streams = ", ".join(f"{n} {c:,}" for n, c in summary["events_by_stream"].items())
    by_rule = sorted(summary["alerts_by_rule"].items(), key=lambda item: -item[1])
    return {
        "events": f"{summary['events']:,} in {summary['seconds']} s ({streams}); {data}",
        "throughput": f"{summary['events_per_s']:,} events/s",
        "alerts": f"{summary['alerts']:,}: {', '.join(f'{rule} {n:,}' for rule, n in by_rule)}" if by_rule else "0",
        "latency": (
            f"p50 {latency['p50']:,.0f} ms, p99 {latency['p99']:,.0f} ms from the producer's send to the alert being readable"
            if latency["p50"] is not None
            else "no alert to measure it by"
        ),
        "attacks": (
            f"{attacks['found']} of {attacks['planted']} planted found, "
            f"{counted(attacks['unexplained'], 'alert')} without one"
        ),
        "dead letters": (
            f"{counted(summary['dead_letters'], 'damaged record')} set aside, {counted(summary['late'], 'late event')}"
        ),
    }


def _parts(summary: dict[str, Any]) -> dict[str, str]:
    rows: dict[str, str] = {}
    if (grid := summary.get("grid")) and grid["state"]:
        rows["grid"] = (
            f"{counted(grid['generations'], 'generation')}, {counted(grid['fills'], 'fill')}, "
            f"{counted(grid['halts'], 'halt')}; equity {money(grid['equity_change'])} USD: "
            f"{money(grid['grid_profit'])} of pairs, {money(grid['floating_pnl'])} floating, {grid['unexplained']} unexplained"
        )
    if custody := summary.get("custody"):
        released = ", ".join(f"{chain} {count}" for chain, count in custody["released"].items()) or "none"
        rows["custody"] = (
            f"{counted(custody['requests'], 'request')} to {custody['signer_processes']} signers: released {released}; "
            f"{custody['rejected']} rejected, {custody['expired']} expired"
        )
    if ledger := summary.get("ledger"):
        rows["ledger"] = (
            f"{counted(ledger['postings'], 'posting')}, {'balanced' if ledger['balanced'] else 'NOT BALANCED'}; risk "
            f"{'CAN' if ledger['risk_can_write'] else 'cannot'} write (tried)"
        )
    if (reserves := summary.get("reserves")) is not None:
        rows |= _accountable(reserves)
    if rpc := summary.get("rpc"):
        rows["pre-trade"] = (
            f"{counted(rpc['checks'], 'order')} checked before being placed, {rpc['rejected']:,} rejected"
        )
        if rpc["p99_ms"] is not None:
            rows["pre-trade"] += f"; a batch took p99 {rpc['p99_ms']:,.0f} ms"
    return rows


def _accountable(reserves: dict[str, Any]) -> dict[str, str]:
    """What is owed and what is there, in two lines."""
    assets = reserves.get("assets")
    if not assets:
        made = counted(reserves["statements"], "statement")
        return {"reserves": f"{made} of what is owed; no vault has signed for what is there"}
    held = {name: one for name, one in assets.items() if one["units"] is not None}
    short = [name for name, one in held.items() if not one["covered"]]
    amounts = ", ".join(
        f"{name} {_amount(one['units'], one)} of {_amount(one['owed_units'], one)} owed" for name, one in held.items()
    )
    others = len(assets) - len(held)
    verdict = f"NOT COVERED: {', '.join(short)}" if short else "covered"
    return {
        "reserves": f"{counted(reserves['addresses'], 'vault')} signed for {amounts}: {verdict}"
        + (f"; {others} more assets, the synthetic flow's, are in no vault" if others else ""),
        "proof": ("checked with the one-file verifier: " if reserves["proof"]["true"] else "NOT TRUE: ")
        + reserves["proof"]["said"],
    }


def _amount(units: str, one: dict[str, Any]) -> str:
    whole, point, rest = shown(int(units), one["decimals"]).partition(".")
    return f"{whole}{point}{rest}".rstrip("0").rstrip(".") if point else whole
