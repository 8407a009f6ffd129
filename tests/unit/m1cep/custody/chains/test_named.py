"""Chains by name."""

import sys

import pytest

from m1cep.custody.chains.errors import ChainError
from m1cep.custody.chains.named import chain_named
from streams.chains.local import KINDS, open_local
from streams.errors import UsageError


@pytest.mark.parametrize("name", ["bitcoin:mainnet", "bitcoin:testnet", "bitcoin:regtest", "solana:devnet", "evm:1"])
def test_a_chain_has_the_name_it_was_asked_by(name):
    assert chain_named(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "bitcoin", "bitcoin:", "bitcoin:signet", "evm:0", "evm:01", "evm:-1", "evm:x", "solana:", "safe:1", "a:b"],
)
def test_another_name_is_refused_with_those_there_are(name):
    with pytest.raises(ChainError, match="expected bitcoin:mainnet"):
        chain_named(name)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "safe"])  # which needs the Safe team's contracts
def test_a_local_chain_is_the_one_that_its_name_says(kind):
    node = open_local(kind)
    assert chain_named(node.chain.name) == node.chain
    node.close()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "eth_tester", None)
    for name in ("streams.chains.evm", "streams.chains.evm_machine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UsageError, match=r"install m1cep\[custody-evm\]"):
        open_local("evm")


def test_another_kind_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="bitcoin, solana, evm"):
        open_local("dogecoin")
