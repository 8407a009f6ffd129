"""What is remembered of vaults: each deposit counts once, however long ago, and the memory has an end."""

from types import SimpleNamespace

import msgspec
import pytest

from m1cep.custody.chains.interface import Deposit
from streams.custody.transfers import SETTLED_DEPTH
from streams.custody.treasury import Purses, Treasury

DEPTH = 2
KEY = b"key"


class Chain:
    """A local chain with one vault: ``blocks`` are lists of (reference, amount)."""

    chain = SimpleNamespace(name="toy", address=lambda _key: "vault")

    def __init__(self, blocks=()):
        self.blocks = [*blocks]

    def open_vault(self, key):
        assert key == KEY

    def deposits(self, _key):
        tip = len(self.blocks)
        return [
            Deposit(name, amount, tip - height, height)
            for height, block in enumerate(self.blocks)
            for name, amount in block
        ]

    def balance(self, _key):
        return sum(amount for block in self.blocks for _, amount in block)

    def fund(self, _address, amount):
        self.blocks.append([(f"anew-{len(self.blocks)}", amount)])

    def advance(self, blocks=1):
        self.blocks += [[] for _ in range(blocks)]


def treasury_of(node, purses=None):
    """As after a start, with what was kept: it has been through msgpack, as a snapshot has."""
    made = Treasury({"v": SimpleNamespace(chain="toy", account="alice")}, lambda _name: node, DEPTH)
    if purses is not None:
        made.purses = msgspec.convert(msgspec.to_builtins(purses), Purses)
    made.open("v", KEY)
    return made


@pytest.fixture
def node():
    return Chain([[]])


def fresh(treasury):
    return [one.reference for one in treasury.weigh("v").fresh]


def test_a_deposit_is_told_once_and_not_remembered_for_ever(node):
    treasury, told = treasury_of(node), []
    for n in range(500):
        node.blocks.append([(f"d{n}", 1), (f"e{n}", 1)])
        told += fresh(treasury)
        if n % 50 == 0:
            treasury = treasury_of(node, treasury.purses)
    assert told == [f"{letter}{n}" for n in range(499) for letter in "de"]  # the last block has one confirmation
    assert len(treasury.purses.credited["v"]) <= 2 * SETTLED_DEPTH
    assert treasury.weigh("v").units == 2 * 499


def test_what_came_while_nobody_looked_is_told_however_deep_it_is(node):
    treasury = treasury_of(node)
    node.blocks += [[("before", 1)], *([[]] * SETTLED_DEPTH)]
    assert fresh(treasury) == ["before"]
    node.blocks += [[("away", 1)], *([[]] * 10 * SETTLED_DEPTH), [("late", 1)], []]
    assert fresh(treasury_of(node, treasury.purses)) == ["away", "late"]


def test_what_may_be_undone_is_told_when_it_is(node):
    treasury = treasury_of(node)
    node.blocks += [[("deep", 5)], *([[]] * SETTLED_DEPTH), [("last", 7)], []]
    assert fresh(treasury) == ["deep", "last"]
    del node.blocks[-2:]
    assert treasury.weigh("v").gone == {"last": 7}
    node.blocks += [[("last", 7)], []]
    assert fresh(treasury) == ["last"]


@pytest.mark.parametrize("blocks", [2, 5 * SETTLED_DEPTH])
def test_a_local_chain_that_is_made_anew_is_known_by_what_it_lacks(node, blocks):
    """Also when all deposits of the former one had settled; what the vault had is no news."""
    treasury = treasury_of(node)
    node.blocks += [[("first", 9)], *([[]] * blocks)]
    treasury.weigh("v")
    again = treasury_of(node, treasury.purses)
    assert (again.anew, fresh(again)) == (set(), [])
    anew = treasury_of(Chain([[]] * 2), again.purses)
    assert anew.anew == {"v"}
    found = anew.weigh("v")
    assert (found.units, found.fresh, found.gone) == (9, [], {})


def test_what_was_kept_before_anything_settled_is_read(node):
    node.blocks += [[("old", 3)], *([[]] * SETTLED_DEPTH)]
    treasury = treasury_of(node, Purses(held={"v": 3}, credited={"v": {"old": 3}}))
    assert fresh(treasury) == []
    assert treasury.purses.credited["v"] == {}
