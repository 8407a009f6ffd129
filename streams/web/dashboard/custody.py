"""Custody as a viewer sees it: requests with the signers' words, vaults. Letters are checked against the roster's keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from m1cep.errors import CustodyError
from streams.custody.derive import chain_of
from streams.custody.view import View

if TYPE_CHECKING:
    from streams.custody.roster import Roster
    from streams.custody.view import Seen

MOST_REQUESTS = 500
_ANSWERS = {"accept": "approve", "reject": "reject", "wait": None}
_TXID = re.compile(r"^transaction (\S+)")


class Custody:
    """Requests and vaults.

    Args:
        roster: who is who; letters of others are not heard.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._view = View(roster)
        self._answered_ms: dict[tuple[str, int, str], int] = {}
        self._txids: dict[str, str] = {}

    def take(self, value: bytes | None, time_ms: int) -> None:
        """A record of the topics of custody."""
        if value is None:
            return
        self._view.take(value)
        requests = self._view.requests
        for seen in requests.values():
            if seen.status and (found := _TXID.match(seen.status.reason)):
                self._txids[seen.id] = found[1]
            for signer, vote in seen.votes.items():
                self._answered_ms.setdefault((seen.id, signer, vote.word.value), time_ms)
        while len(requests) > MOST_REQUESTS:
            self._forget(next((n for n, seen in requests.items() if _ended(seen)), next(iter(requests))))
        self._view.forget_answers()

    def _forget(self, name: str) -> None:
        del self._view.requests[name]
        self._txids.pop(name, None)
        for key in [key for key in self._answered_ms if key[0] == name]:
            del self._answered_ms[key]

    def plain(self) -> dict[str, Any]:
        """The document ``custody``, the newest request first."""
        requests = [self._request(seen) for seen in self._view.requests.values()]
        vaults = [
            {
                "vault": v.vault,
                "account": v.account,
                "chain": v.chain,
                "asset": v.asset,
                "address": v.address,
                "epoch": v.epoch,
                "threshold": v.threshold,
                "signers": list(v.signers),
                "free": _shown(v.chain, int(v.free)),
            }
            for v in sorted(self._view.vaults.values(), key=lambda v: v.vault)
        ]
        requests.sort(key=lambda one: -(one["created_ms"] or 0))
        return {"requests": requests, "vaults": vaults}

    def _request(self, seen: Seen) -> dict[str, Any]:
        about, status = seen.request, seen.status
        vault = self._roster.vaults.get(about.vault) if about else None
        signers = sorted(vault.signers) if vault else sorted(seen.votes)
        return {
            "id": seen.id,
            "kind": about.kind.value if about else None,
            "vault": about.vault if about else None,
            "account": about.account if about else None,
            "chain": about.chain if about else None,
            "asset": about.asset if about else None,
            "amount": _shown(about.chain, about.units) if about else None,
            "to": about.destination if about else None,
            "requester": about.requester if about else None,
            "status": seen.state,
            "reason": status.reason if status else "",
            "created_ms": about.requested_ms if about else None,
            "expires_ms": about.expires_ms if about else None,
            "time_ms": status.time_ms if status else None,
            "m": vault.threshold if vault else None,
            "n": len(signers),
            "answers": [self._answer(seen, signer) for signer in signers],
            "approvals": [{"by": one.approver, "approve": one.approve} for one in seen.approvals],
            "reasons": [one for one in (status.reason if status else "", *seen.refused) if one],
            "excluded": {str(n): how for n, how in status.excluded.items()} if status else {},
            "confirmations": "confirmed" if seen.state == "confirmed" else None,
            "txid": self._txids.get(seen.id),
        }

    def _answer(self, seen: Seen, signer: int) -> dict[str, Any]:
        vote = seen.votes.get(signer)
        if vote is None:
            return {"signer": signer, "answer": None, "word": None, "rule": None, "reasons": [], "time_ms": None}
        return {
            "signer": signer,
            "answer": _ANSWERS[vote.word.value],
            "word": vote.word.value,
            "rule": vote.rule,
            "reasons": [vote.reason] if vote.reason else [],
            "time_ms": self._answered_ms.get((seen.id, signer, vote.word.value)),
        }


def _ended(seen: Seen) -> bool:
    return seen.status is not None and seen.status.state.ended


def _shown(chain: str, units: int) -> str:
    """The amount as people write it."""
    try:
        return chain_of(chain).asset.show(units)
    except CustodyError:
        return str(units)
