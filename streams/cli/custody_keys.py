"""``m1cep custody identity|backup|restore|recover``: what a signer does with its keyfile. No broker is needed."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from streams.cli.output import AsJson, say
from streams.errors import UsageError

if TYPE_CHECKING:
    from m1cep.custody.frost.keys import KeyShare
    from streams.custody.backup import Check
    from streams.custody.keyfile import Keyfile as OpenKeyfile

Keyfile = Annotated[
    Path, typer.Option(help="Of the signer; M1CEP_SIGNER_PASSPHRASE_FILE names the file with its passphrase.")
]
WordsPassphrase = Annotated[
    Path | None, typer.Option(help="File with a passphrase of the words; without it they are worth nothing.")
]


def identity(
    signer: Annotated[int, typer.Option(min=1, max=255, help="Its number in the roster.")],
    keyfile: Keyfile,
    as_json: AsJson = False,
) -> None:
    """Make the keyfile of a new signer, and print the key that the roster needs. Of a keyfile that is there, print it again.

    Example: m1cep custody identity --signer 2 --keyfile signer-2.key
    """
    from streams.config import load_settings
    from streams.custody.keyfile import Keyfile as File
    from streams.security import signer_passphrase

    passphrase = signer_passphrase(load_settings())
    if keyfile.exists():
        file = File.open(keyfile, passphrase, to_read=True)
        if file.number != signer:
            raise UsageError(f"{keyfile} is of signer {file.number}, not of signer {signer}")
    else:
        file = File.create(keyfile, signer, passphrase)
        file.close()
    public = file.identity().verify_key.hex()
    say({"signer": signer, "public_key": public}, f'{signer} = "{public}"', as_json)


def owner(
    vault: Annotated[str, typer.Argument(help="A Safe, as the roster will name it.")],
    keyfile: Keyfile,
    as_json: AsJson = False,
) -> None:
    """Print a signer's address as owner of a Safe, for the vault's owners in the roster.

    Example: m1cep custody owner alice-safe --keyfile signer-2.key
    """
    from streams.custody.owners import owner_address

    file = _open(keyfile)
    address = owner_address(file.seed, vault)
    say({"signer": file.number, "address": address}, f'{file.number} = "{address}"', as_json)


def backup(
    vault: Annotated[str, typer.Argument(help="Whose share; of the roster.")],
    keyfile: Keyfile,
    check: Annotated[
        Path, typer.Option(dir_okay=False, help="Write here what the words must fit: keep a copy with each list.")
    ],
    lists: Annotated[
        str, typer.Option(help="So many lists of words give the share back, of so many that are made.")
    ] = "2 of 3",
    words_passphrase_file: WordsPassphrase = None,
    as_json: AsJson = False,
) -> None:
    """Print a share as lists of words (SLIP-39), for paper. Whoever sees enough of them has the share.

    A refresh makes backups worthless as well: make new ones after it.

    Example: m1cep custody backup alice-btc --keyfile signer-2.key --check alice-btc-2.json
    """
    from streams import durable
    from streams.custody.backup import back_up

    needed, _, made = lists.partition(" of ")
    if not (needed.isdecimal() and made.isdecimal()):
        raise UsageError(f"--lists expects such as '2 of 3', got {lists!r}")
    held = _open(keyfile).held.get(vault)
    if held is None:
        raise UsageError(f"{keyfile} holds no share of vault {vault}")
    found = back_up(vault, held.share, int(needed), int(made), _text(words_passphrase_file))
    try:
        durable.create(check, found.check.encode())
    except OSError as error:
        raise UsageError(f"--check {check} cannot be written: {error.strerror}", "it must not be there yet") from error
    if as_json:
        facts = {"vault": vault, "signer": held.share.identifier, "epoch": held.share.public.epoch}
        more = {"needed": int(needed), "check": str(check), "words": [str(words) for words in found.words]}
        typer.echo(orjson.dumps(facts | more))
        return
    typer.echo(
        f"# vault {vault}, signer {held.share.identifier}, epoch {held.share.public.epoch}: {needed} of these {made} lists, and "
        f"{check.name}, give the share back"
    )
    for words in found.words:
        typer.echo(words)


def restore(
    keyfile: Keyfile,
    check: Annotated[Path, typer.Option(help="What the backup said the words must fit.")],
    words: Annotated[Path | None, typer.Option(help="File with a list of words a line; default: typed in.")] = None,
    words_passphrase_file: WordsPassphrase = None,
    as_json: AsJson = False,
) -> None:
    """Put a share from lists of words into a signer's keyfile.

    The signer will not sign what was asked for before now: it may have done so, and not remember.

    Example: m1cep custody restore --keyfile signer-2.key --check alice-btc-2.json --words words.txt
    """
    fits = _check(check)
    share = _from_words(fits, words, words_passphrase_file)
    file = _open(keyfile, to_read=False)
    with closing(file):
        file.restore(fits.vault, share, time.time_ns() // 1_000_000)
    text = f"signer {share.identifier} has its share of vault {fits.vault} again, epoch {share.public.epoch}"
    say({"signer": share.identifier, "vault": fits.vault, "epoch": share.public.epoch}, text, as_json)


def recover(
    vault: Annotated[str, typer.Argument(help="Whose key.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="New file for the key (hexadecimal), for your eyes alone.")],
    keyfile: Annotated[
        list[Path] | None, typer.Option(help="Of a signer; its passphrase is asked for. Repeat.")
    ] = None,
    passphrase_file: Annotated[
        list[Path] | None, typer.Option(help="Instead of asking: one for each --keyfile, in their order.")
    ] = None,
    check: Annotated[list[Path] | None, typer.Option(help="Of a backup as words. Repeat.")] = None,
    words: Annotated[list[Path] | None, typer.Option(help="Its lists, one a line: one file for each --check.")] = None,
    words_passphrase_file: WordsPassphrase = None,
    as_json: AsJson = False,
) -> None:
    """Break-glass: put the whole key of a vault together from enough shares. Whoever has it has all that is in the vault.

    Do it on a machine without a network. The key is then no longer shared: send everything to a new vault, at once.

    Example: m1cep custody recover alice-btc --out alice-btc.key --keyfile signer-1.key --keyfile signer-2.key
    """
    from streams import durable
    from streams.custody.backup import whole_key

    files, secrets_in = keyfile or [], passphrase_file or []
    if secrets_in and len(secrets_in) != len(files):
        raise UsageError(f"expected a --passphrase-file for each of {len(files)} --keyfile, got {len(secrets_in)}")
    if len(check or []) != len(words or []):
        raise UsageError(f"expected a --words for each of {len(check or [])} --check, got {len(words or [])}")
    if out.exists():
        raise UsageError(f"--out {out} is there already", "name a new file")
    shares = [_share(file, secrets_in[n] if secrets_in else None, vault) for n, file in enumerate(files)]
    for fits_file, words_file in zip(check or [], words or [], strict=True):
        fits = _check(fits_file)
        if fits.vault != vault:
            raise UsageError(f"{fits_file} is of vault {fits.vault}, not of {vault}")
        shares.append(_from_words(fits, words_file, words_passphrase_file))
    key = whole_key(shares)
    try:
        durable.create(out, key.reveal().hex().encode() + b"\n")
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror}") from error
    public = shares[0].public
    if as_json:
        facts = {"vault": vault, "suite": public.suite.name, "public_key": public.group.hex(), "file": str(out)}
        typer.echo(orjson.dumps(facts))
        return
    typer.echo(
        f"the key of vault {vault} ({public.suite.name}, public key {public.group.hex()}) is in {out}: a scalar, big-endian for "
        "secp256k1, little-endian for Ed25519 (not a seed); of taproot the internal key"
    )
    typer.echo("NOW SWEEP: send everything in the vault to a new one, and delete the file. This key is shared no more.")


def _open(keyfile: Path, *, to_read: bool = True) -> OpenKeyfile:
    from streams.config import load_settings
    from streams.custody.keyfile import Keyfile as File
    from streams.security import signer_passphrase

    return File.open(keyfile, signer_passphrase(load_settings()), to_read=to_read)


def _share(keyfile: Path, passphrase_file: Path | None, vault: str) -> KeyShare:
    from streams.custody.keyfile import Keyfile as File

    passphrase = (
        _text(passphrase_file) if passphrase_file else typer.prompt(f"Passphrase of {keyfile}", hide_input=True)
    )
    held = File.open(keyfile, passphrase, to_read=True).held.get(vault)
    if held is None:
        raise UsageError(f"{keyfile} holds no share of vault {vault}")
    return held.share


def _check(file: Path) -> Check:
    from streams.custody.backup import Check as Found
    from streams.files import read_text

    return Found.decode(read_text(file).encode())


def _from_words(fits: Check, file: Path | None, passphrase_file: Path | None) -> KeyShare:
    from streams.custody.backup import bring_back
    from streams.files import read_text

    if file is not None:
        lines = read_text(file).splitlines()
    else:
        lines = []
        while line := typer.prompt(
            "A list of words (nothing: no more)", default="", show_default=False, hide_input=True
        ):
            lines.append(line)
    lists = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return bring_back(lists, fits, _text(passphrase_file))


def _text(file: Path | None) -> str:
    """A secret's file without the line end that editors add; nothing where there is none."""
    from streams.files import read_text
    from streams.security import Hidden

    return Hidden(read_text(file).rstrip("\r\n")) if file is not None else ""
