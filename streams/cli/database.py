"""``m1cep db``: the embedded PostgreSQL, primary and replica, in the foreground; ``m1cep db promote``."""

from __future__ import annotations

import secrets
import time
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.servers import CHECK_S, stop_on_signals

if TYPE_CHECKING:
    from pathlib import Path

    from streams.embedded import EmbeddedDatabase

app = typer.Typer(name="db")

ANSWER_TIMEOUT_S = 90.0
_URLS = {"M1CEP_DB_WRITE_URL": "write.url", "M1CEP_DB_READ_URL": "read.url", "M1CEP_DB_OWNER_URL": "owner.url"}
_REQUEST, _ANSWER = "promote.request", "promote.answer"


@app.callback(invoke_without_command=True)
def db(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is as one JSON object.")] = False,
) -> None:
    """Run the embedded PostgreSQL, primary and replica, until Ctrl-C or SIGTERM. What it keeps is there at the next start.

    A primary that ends is replaced by the replica, which is then made anew.

    Example: m1cep db
    """
    if context.invoked_subcommand is not None:
        return
    from streams.config import load_settings
    from streams.durable import replace
    from streams.embedded import EmbeddedDatabase

    folder = load_settings().folder("embedded", "database")
    (folder / _REQUEST).unlink(missing_ok=True)
    stop = stop_on_signals()
    with EmbeddedDatabase(folder) as database, database.supervised():
        for file, url in zip(_URLS.values(), (database.write_url, database.read_url, database.owner_url), strict=True):
            replace(folder / file, url.get_secret_value().encode())
        if as_json:
            nodes = {"primary": database.primary, "replica": database.replica}
            facts = {
                name: {"port": node.port, "pid": node.process.pid, "log": str(node.process.log_path)}
                for name, node in nodes.items()
            }
            urls = {variable: str(folder / file) for variable, file in _URLS.items()}
            typer.echo(orjson.dumps(facts | {"url_files": urls}))
        else:
            ports = f"primary 127.0.0.1:{database.primary.port}, replica 127.0.0.1:{database.replica.port}"
            typer.echo(f"Database ready: {ports}; its data are in {database.place}. Ctrl-C ends it.")
            for variable, file in _URLS.items():
                typer.echo(f'Other commands find it with: export {variable}="$(cat {quote(str(folder / file))})"')
        while not stop.wait(CHECK_S):
            _promote_when_asked(database, folder)


@app.command()
def promote(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Make the replica of a running `m1cep db` the primary. The other server follows it from then on.

    Of another PostgreSQL than ours: use what runs it (Patroni, the cloud's console, SELECT pg_promote()).

    Example: m1cep db promote
    """
    from streams.config import load_settings
    from streams.durable import replace
    from streams.errors import ServerError

    folder = load_settings().folder("embedded", "database")
    answer = folder / _ANSWER
    number = secrets.token_hex(8)
    replace(folder / _REQUEST, number.encode())
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        said = orjson.loads(answer.read_bytes()) if answer.exists() else {}
        if said.get("request") == number:
            break
        if not _runs(folder) or time.monotonic() > deadline:
            (folder / _REQUEST).unlink(missing_ok=True)
            raise ServerError("no m1cep db answers here", "start one (m1cep db), with the same M1CEP_HOME")
        time.sleep(CHECK_S)
    if "error" in said:
        raise ServerError(said["error"])
    if as_json:
        typer.echo(orjson.dumps({name: said[name] for name in ("port", "downtime_s", "generation")}))
    else:
        typer.echo(
            f"The primary is 127.0.0.1:{said['port']} now; nothing could be written for {said['downtime_s']:.3f} s."
        )


@app.command()
def roles(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Print what makes the roles and the database in a PostgreSQL of your own: for psql, as a superuser, on the primary.

    Example: m1cep db roles | psql postgresql://postgres@db-1.example.com/postgres
    """
    from streams.database.roles import script

    typer.echo(orjson.dumps({"sql": script()}) if as_json else script(), nl=as_json)


def _promote_when_asked(database: EmbeddedDatabase, folder: Path) -> None:
    from streams.durable import replace
    from streams.errors import ServerError

    request = folder / _REQUEST
    if not request.exists():
        return
    said: dict[str, object] = {"request": request.read_text()}
    try:
        said["downtime_s"] = database.promote()
        said |= {"port": database.primary.port, "generation": database.generation}
    except ServerError as error:
        said["error"] = str(error)
    replace(folder / _ANSWER, orjson.dumps(said))
    request.unlink()


def _runs(folder: Path) -> bool:
    """Whether a database runs in the folder, which then holds its lock."""
    from streams.embedded.kept import locked
    from streams.embedded.unprivileged import place_for, server_user
    from streams.errors import ServerError

    try:
        locked(place_for(folder, server_user()), "m1cep db").close()
    except ServerError:
        return True
    return False
