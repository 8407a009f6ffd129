"""Releases from being asked for to the chain: a coordinator, three signers, real chains, topics in memory."""

import pytest
from custodyoffice import FUNDS, SOME, Office

from streams.custody import asks


@pytest.fixture
def office(tmp_path):
    made = []

    def make(*kinds, **options):
        one = Office(tmp_path, kinds, **options)
        made.append(one)
        for kind in kinds:
            one.list_destination(kind)
            one.desk_ask(asks.encode(asks.AskFunds(f"fund-{kind}", f"alice-{kind}", FUNDS[kind])))
        one.pass_time(8_000)
        return one

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("kind", ["bitcoin", "solana", "evm"])
def test_what_is_approved_is_paid_on_its_chain(office, kind):
    here = office(kind)
    request = here.ask(kind)
    assert here.until(request, "confirmed").reason.startswith("transaction ")
    assert here.paid(kind) == SOME[kind]
    assert here.refused == []
