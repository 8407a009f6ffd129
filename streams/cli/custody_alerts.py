"""``m1cep custody alerts``: the alerts that stand in the way of releases, as a signer has kept them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.options import BEFORE_HELP, before_ms
from streams.cli.output import AsJson  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from m1cep.custody.policy import Facts
    from m1cep.custody.policy.events import AlertRaised


def alerts(
    signer: Annotated[int, typer.Argument(min=1, help="Number of the signer.")],
    rule: Annotated[str | None, typer.Option(help="Only of this rule.")] = None,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    before: Annotated[str | None, typer.Option(help=BEFORE_HELP)] = None,
    group: Annotated[str, typer.Option(help="As of the signer's worker.")] = "m1cep",
    as_json: AsJson = False,
) -> None:
    """List every alert that nobody has closed for a signer, the oldest first, by the state that it saved last.

    Also those that the topic of alerts does not hold any more. Say it where the signer runs: it reads its M1CEP_STATE_DIR or
    M1CEP_STATE_URL. To close them: m1cep alerts close --help.

    Example: m1cep custody alerts 2 --before '90 d' --json
    """
    from m1cep.model.time import to_rfc3339

    until_ms = None if before is None else before_ms(before)

    def wanted(one: AlertRaised) -> bool:
        return (
            rule in {None, one.rule} and account in {None, one.account} and (until_ms is None or one.time_ms < until_ms)
        )

    found = sorted(
        filter(wanted, _facts(signer, group).every_open_alert()), key=lambda one: (one.time_ms, one.alert_id)
    )
    for one in found:
        if as_json:
            plain = {"alert": one.alert_id, "rule": one.rule, "severity": one.severity.value}
            typer.echo(orjson.dumps(plain | {"account": one.account, "time_ms": one.time_ms}))
        else:
            typer.echo(
                f"{to_rfc3339(one.time_ms, 'ms')}  {one.alert_id}  {one.rule}  {one.severity.value}  {one.account}"
            )
    if not found and not as_json:
        typer.echo("There are no such alerts.")


def _facts(signer: int, group: str) -> Facts:
    from streams.config import load_settings
    from streams.custody.roster import signer_name
    from streams.custody.signer_state import saved_facts
    from streams.snapshots import open_store
    from streams.topics import admin_client

    settings, name = load_settings(), signer_name(signer)
    with admin_client(settings) as admin:
        cluster = str(admin.describe_cluster().get("cluster_id") or "")
    plain = settings.allow_plaintext
    store = open_store(settings.state_url, settings.state_dir, cluster, f"{group}-{name}", allow_plaintext=plain)
    try:
        return saved_facts(store, name)
    finally:
        store.close()
