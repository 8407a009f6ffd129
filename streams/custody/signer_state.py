"""What a signer keeps, and how others look into it where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from m1cep.custody.policy import Facts
from m1cep.errors import CustodyError
from streams import snapshots
from streams.agents.unsent import unpacked
from streams.custody.reserving import Newest  # noqa: TC001 - msgspec reads the annotations when it decodes
from streams.errors import ShellError

if TYPE_CHECKING:
    from streams.snapshots import SnapshotStore


class SignerState(msgspec.Struct, forbid_unknown_fields=True):
    """All but what is in the keyfile, and nonces."""

    version: Literal[1]
    signer: dict[str, Any]
    ceremonies: bytes
    quorums: dict[str, tuple[tuple[int, ...], int, int]]
    audit: dict[str, Any] = {}
    policy: str = ""
    owner_since_ms: int = 0
    reserves: dict[str, Newest] = {}


def saved_facts(store: SnapshotStore, name: str) -> Facts:
    """The facts of a signer as they were saved last; nothing is changed or claimed.

    Args:
        store: of the signer's state.
        name: of the signer, for messages.

    Raises:
        ShellError: there is no state, or it cannot be used.
        StoreError: nobody answers where it is kept.
    """
    saved = next(store.load(0), None)
    if saved is None:
        raise ShellError(
            f"there is no state of {name} in {store.where}",
            "say it where the signer runs, with its M1CEP_STATE_DIR or M1CEP_STATE_URL, its broker and its --group",
        )
    try:
        state, _ = unpacked(snapshots.decode(saved.data).state)
        return Facts.restore(msgspec.msgpack.decode(state, type=SignerState).signer["facts"])
    except (snapshots.SnapshotError, msgspec.MsgspecError, CustodyError, KeyError) as error:
        raise ShellError(f"expected the state of {name} in {saved.name}: {error}") from None
