"""``m1cep pretrade check|account|lift``: the pre-trade check from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from streams.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.rpc.v1.risk_pb2 import Reason

app = typer.Typer(help="Ask the pre-trade check, and let accounts trade again.", no_args_is_help=True)

Account = Annotated[str, typer.Argument(help="The account.")]
Address = Annotated[str | None, typer.Option(help="host:port of the service; default: M1CEP_RPC_PORT on this machine.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def check(
    account: Account,
    symbol: Annotated[str, typer.Argument(help="Such as BTC-USD.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    qty: Annotated[str, typer.Argument(help="How much.")],
    price: Annotated[str | None, typer.Argument(help="Limit; without it a market order.")] = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether an order would be accepted; nothing is counted. Exit code 0 accepted, 1 rejected, 3 no answer.

    Example: m1cep pretrade check alice BTC-USD buy 0.25 64000
    """
    from streams.errors import ExitCode, UsageError
    from streams.rpc.client import RiskClient

    if side not in ("buy", "sell"):
        raise UsageError(f"expected buy or sell, got {side!r}")
    with RiskClient(_address(address)) as client:
        answer = client.check(account, "terminal", symbol, side, qty, price, dry_run=True)
    if as_json:
        typer.echo(orjson.dumps({"accepted": answer.accepted, "reasons": _plain(answer.reasons)}))
    else:
        typer.echo("accepted" if answer.accepted else "rejected")
        _show(answer.reasons)
    raise typer.Exit(ExitCode.OK if answer.accepted else ExitCode.FAILURE)


@app.command()
def account(account: Account, address: Address = None, as_json: AsJson = False) -> None:
    """Show what the service knows of an account.

    Example: m1cep pretrade account alice --json
    """
    from streams.rpc.client import RiskClient

    with RiskClient(_address(address)) as client:
        state = client.account_state(account)
    holdings = [
        {name: getattr(one, name) for name in ("symbol", "position", "open_buys", "open_sells", "worst")}
        for one in state.holdings
    ]
    if as_json:
        found = {"account": account, "exposure": state.exposure or None, "open_orders": state.open_orders}
        more = {"margin_short": state.margin_short, "holdings": holdings, "standing": _plain(state.standing)}
        typer.echo(orjson.dumps(found | more))
        return
    typer.echo(
        f"{account}: exposure {state.exposure or 'not known: a price is missing'}, {state.open_orders} orders open"
    )
    for one in holdings:
        typer.echo(
            f"  {one['symbol']}: position {one['position']}, open to buy {one['open_buys']}, to sell {one['open_sells']}, "
            f"at worst {one['worst']}"
        )
    if state.margin_short:
        typer.echo("  below the maintenance margin: orders may only close")
    _show(state.standing)


@app.command()
def lift(
    account: Account,
    alert: Annotated[str, typer.Argument(help="Id of the alert that was dealt with.")],
    by: Annotated[str, typer.Option(help="Who has dealt with it.")],
    as_json: AsJson = False,
) -> None:
    """Take back what an alert has brought upon an account, for good: it may trade again.

    Example: m1cep pretrade lift alice 4f1c... --by ann
    """
    from streams.config import load_settings
    from streams.rpc import desk

    desk.lift(load_settings(), account, alert, by)
    text = f"alert {alert} no longer stands against orders of {account}"
    say({"alert": alert, "account": account, "by": by}, text, as_json)


def _address(given: str | None) -> str:
    from streams.config import load_settings
    from streams.rpc.server import HOST

    return given or f"{HOST}:{load_settings().rpc_port}"


def _plain(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    from streams.rpc.v1.risk_pb2 import ReasonCode

    return [
        {
            "code": ReasonCode.Name(reason.code).removeprefix("REASON_CODE_"),
            "rule_id": reason.rule_id,
            "limit": reason.limit,
            "value": reason.value,
            "alert_ids": list(reason.alert_ids),
            "list_version": reason.list_version,
        }
        for reason in reasons
    ]


def _show(reasons: Iterable[Reason]) -> None:
    for reason in _plain(reasons):
        amounts = f": {reason['value']}, at most {reason['limit']}" if reason["limit"] else ""
        alerts = f" by alert {', '.join(reason['alert_ids'])}" if reason["alert_ids"] else ""
        typer.echo(f"  {reason['code']} {reason['rule_id']}{amounts}{alerts}")
