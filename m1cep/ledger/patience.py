"""Postings whose account lacks the funds wait for others that bring them.

Fills and deposits come by different topics, so a fill may be read before the deposit that paid for it. What has happened must
not be refused for that: it waits, and is tried again with whatever comes for the same owner. Postings that are only right
together (one sold what the other bought, and a third was booked between them) are booked together. So, as long as everybody had
at any time what they spent, the books are the same in whichever order the events are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from m1cep.errors import LedgerError
from m1cep.ledger.books import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from m1cep.ledger.books import Books
    from m1cep.ledger.postings import Posting

#: Why a posting may be right later.
SHORT = frozenset({"exceeds_credits", "exceeds_debits"})


class Tried(NamedTuple):
    """What came of postings; each is in one of the lists.

    Attributes:
        short: what lacks funds, and how much.
        refused: for good.
    """

    posted: list[Posting]
    seen: list[Posting]
    short: list[tuple[Posting, LedgerError]]
    refused: list[tuple[Posting, LedgerError]]


def post_all(books: Books, postings: Iterable[Posting]) -> Tried:
    """Post what can be, in the order given, then what can be with that."""
    tried = Tried([], [], [], [])
    by_owner: dict[str, list[Posting]] = {}
    for posting in _one_by_one(books, postings, tried):
        by_owner.setdefault(posting.owner, []).append(posting)
    for theirs in by_owner.values():
        _together(books, theirs, tried)
    return tried


def _one_by_one(books: Books, postings: Iterable[Posting], tried: Tried) -> list[Posting]:
    """Post each by itself; those that lack funds."""
    short = []
    for posting in postings:
        try:
            result = books.post(posting)
        except LedgerError as error:
            if error.code in SHORT:
                short.append(posting)
            else:
                tried.refused.append((posting, error))
        else:
            (tried.posted if result is Result.POSTED else tried.seen).append(posting)
    return short


def _together(books: Books, postings: list[Posting], tried: Tried) -> None:
    """Post one owner's in their order, as many as are right together; the rest stays short."""
    trial = books.copy()
    group: list[tuple[Posting, LedgerError]] = []
    for posting in postings:
        try:
            if trial.post(posting, checked=False) is Result.SEEN:
                tried.seen.append(posting)
                continue
        except LedgerError as error:
            tried.refused.append((posting, error))
            continue
        try:
            for key in {key for one in (*(p for p, _ in group), posting) for key in one.accounts()}:
                if (account := trial.accounts.get(key)) is not None:
                    account.check(key)
        except LedgerError as error:
            group.append((posting, error))
            continue
        books.become(trial)
        tried.posted.extend([*(one for one, _ in group), posting])
        group = []
    tried.short.extend(group)
