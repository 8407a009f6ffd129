"""The verifier for customers: true proofs pass, attacks from the literature and damage do not, whoever signs them."""

import ast
import csv
import io
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from eth_utils import keccak
from liabilitiesworld import EPOCH_MS, Platform, ed25519, through_json

from m1cep.ledger.liabilities import Holding, Signer, reserves_document, signed_document
from m1cep.ledger.liabilities import verify_balance as verifier
from m1cep.ledger.liabilities.verify_balance import Untrue, check_leaves, check_proof, check_reserves, check_signed

VECTORS = Path(__file__).parents[4] / "published" / "signatures"
OWED = {"BTC": {"ann": 100, "bob": 60, "eve": 0}, "USD": {"ann": 12_345_678_901}}


@pytest.fixture(scope="module")
def platform():
    return Platform(OWED)


def untrue(platform, document, said, user="ann"):
    with pytest.raises(Untrue, match=said):
        check_proof(document, user, platform.key)


class TestTrueProofs:
    def test_each_customer_finds_their_balances_in_the_totals(self, platform):
        assert check_proof(platform.proof("ann"), "ann", platform.key)[1] == {"BTC": 100, "USD": 12_345_678_901}
        assert check_proof(platform.proof("bob"), "bob", platform.key)[1] == {"BTC": 60}
        assert check_proof(platform.proof("eve"), "eve", platform.key)[1] == {"BTC": 0}
        assert platform.statement["assets"]["BTC"]["total"] == "160"

    def test_anybody_finds_the_totals_in_the_published_leaves(self, platform):
        for asset, sheet in platform.sheets.items():
            check_leaves(check_signed(through_json(platform.signed), platform.key), asset, sheet.encode())

    def test_a_signature_of_a_group_s_bitcoin_key_is_as_good(self):
        coincurve = pytest.importorskip("coincurve")
        secret = coincurve.PrivateKey(b"9" * 32)
        key = secret.public_key_xonly.format() if hasattr(secret, "public_key_xonly") else None
        key = key or coincurve.PublicKeyXOnly.from_secret(b"9" * 32).format()
        other = Platform(OWED, signer=Signer("bip340", key, secret.sign_schnorr))
        assert check_proof(other.proof("bob"), "bob", key.hex())[1] == {"BTC": 60}


class TestAttacks:
    """A platform signs whatever it likes, and shows each customer what suits it."""

    def test_the_parent_s_sum_alone_would_let_each_see_another_pair_with_one_sum(self, monkeypatch):
        """Ann's 100 and Bob's 60 as a total of 100: each is shown the other's as what is missing to 100."""
        ann, bob = b"a" * 32, b"b" * 32

        def shown_to(mine, units, other, other_units, index):
            part = {"leaves": 2, "root": root.hex(), "total": "100"}
            chunk = {"index": index, "amount": str(units), "path": [[other.hex(), str(other_units)]]}
            return verifier.check_chunk(chunk, verifier.leaf_prefix(EPOCH_MS, "BTC"), mine, part, "BTC")

        def leaf(mine, units):
            return verifier.leaf_hash(verifier.leaf_prefix(EPOCH_MS, "BTC"), units, mine)

        def parent_s_sum(left, left_sum, right, right_sum):
            return sha256(left + right + (left_sum + right_sum).to_bytes(16, "big")).digest()

        root = verifier.node_hash(leaf(ann, 100), 100, leaf(bob, 60), 0)
        assert shown_to(ann, 100, leaf(bob, 60), 0, 0) == (0, 100)
        with pytest.raises(Untrue, match="does not end at the root"):
            shown_to(bob, 60, leaf(ann, 100), 40, 1)
        # The attack is one: a verifier that hashes the parent's sum alone believes both.
        monkeypatch.setattr(verifier, "node_hash", parent_s_sum)
        root = parent_s_sum(leaf(ann, 100), 100, leaf(bob, 60), 0)
        assert shown_to(ann, 100, leaf(bob, 60), 0, 0) == (0, 100)
        assert shown_to(bob, 60, leaf(ann, 100), 40, 1) == (1, 60)

    @pytest.mark.parametrize("negative", ["-60", "\u221260", str(2**128 - 60)])
    def test_a_negative_balance_beside_the_way(self, platform, negative):
        proof = platform.proof("ann")
        proof["assets"]["BTC"]["chunks"][0]["path"][0][1] = negative
        untrue(platform, proof, "expected sum in digits|too large to be true")

    def test_a_negative_balance_in_the_tree_itself(self):
        """Sums in two's complement: what is owed to Bob is taken away again by nobody's -60, and the root holds."""
        prefix = verifier.leaf_prefix(EPOCH_MS, "BTC")
        mine, ghost = b"a" * 32, b"g" * 32
        minus = 2**128 - 60
        leaves = [verifier.leaf_hash(prefix, 100, mine), sha256(prefix + minus.to_bytes(16, "big") + ghost).digest()]
        root = verifier.node_hash(leaves[0], 100, leaves[1], minus)
        facts = {"leaves": 2, "root": root.hex(), "total": "40"}
        chunk = {"index": 0, "amount": "100", "path": [[leaves[1].hex(), str(minus)]]}
        with pytest.raises(Untrue, match="too large to be true"):
            verifier.check_chunk(chunk, prefix, mine, facts, "BTC")
        published = b"".join(a.to_bytes(16, "big")[-12:] + c for a, c in ((100, mine), (minus, ghost)))
        with pytest.raises(Untrue, match="not what the statement says"):
            check_leaves({"epoch_ms": EPOCH_MS, "assets": {"BTC": facts}}, "BTC", published)

    def test_a_leaf_that_is_left_out(self, platform):
        """Bob's old proof in the statement of a list without him."""
        without = Platform({**OWED, "BTC": {"ann": 100}})
        proof = platform.proof("bob")
        proof["signed"] = through_json(without.signed)
        untrue(platform, proof, "the statement leaves it out", "bob")

    def test_a_total_smaller_than_the_amounts(self, platform):
        proof = platform.proof("ann")
        proof["signed"]["statement"]["assets"]["BTC"]["total"] = "100"
        untrue(platform, platform.sign_again(proof), "add up to 160, the statement says 100")

    def test_a_leaf_left_out_of_the_published_ones(self, platform):
        data = platform.sheets["BTC"].encode()
        statement = through_json(platform.statement)
        size = verifier.LEAF_FILE_BYTES
        with pytest.raises(Untrue, match="expected 16 leaves, got 15"):
            check_leaves(statement, "BTC", data[size:])
        with pytest.raises(Untrue, match="there twice or out of order"):
            check_leaves(statement, "BTC", data[:size] + data[:size] + data[2 * size :])
        with pytest.raises(Untrue, match="not what the statement says"):
            check_leaves(statement, "BTC", bytes(11) + b"\x01" + data[12:])

    @pytest.mark.parametrize("lie", [{"total": "159"}, {"root": "00" * 32}])
    def test_published_leaves_that_are_not_those_of_the_statement(self, platform, lie):
        statement = through_json(platform.statement)
        statement["assets"]["BTC"] |= lie
        with pytest.raises(Untrue, match="not what the statement says"):
            check_leaves(statement, "BTC", platform.sheets["BTC"].encode())

    @pytest.mark.parametrize("leaves", [0, 3, -16, 2**40])
    def test_a_number_of_leaves_that_no_tree_has(self, platform, leaves):
        proof = platform.proof("bob")
        proof["signed"]["statement"]["assets"]["BTC"]["leaves"] = leaves
        untrue(
            platform, platform.sign_again(proof), "expected a power of two of leaves|expected leaves of BTC from", "bob"
        )

    def test_one_leaf_for_two_customers_with_the_same_balance(self):
        """The platform calls both "ann" in what it shows them; each types their own name."""
        twins = Platform({"BTC": {"ann": 100}})
        untrue(twins, twins.proof("ann"), "is for 'ann', not for 'amy'", "amy")
        renamed = twins.proof("ann") | {"user": "amy"}
        untrue(twins, renamed, "does not end at the root", "amy")

    def test_one_leaf_counted_twice_for_one_customer(self, monkeypatch):
        """Ann's 50 once in the list, and twice in her proof: a balance of 100 for 50."""
        half = Platform({"BTC": {"ann": 50, "bob": 60}})
        proof = half.proof("ann")
        part = proof["assets"]["BTC"]
        part["balance"] = "100"
        part["chunks"] *= 2
        untrue(half, proof, "does not end at the root")
        # A second lock on that door: were the salts of all pieces one, indexes would still tell.
        salt = verifier.chunk_salt(b"", "BTC", 0)
        monkeypatch.setattr(verifier, "chunk_salt", lambda *_: salt)
        alike = Platform({"BTC": {"bob": 60}})
        prefix, mine = verifier.leaf_prefix(EPOCH_MS, "BTC"), verifier.commitment(salt, "ann")
        beside = [[bytes(32).hex(), "0"]] * 4
        root, total = verifier.leaf_hash(prefix, 50, mine), 50
        for _ in beside:
            root = verifier.node_hash(root, total, bytes(32), 0)
        alike.statement["assets"]["BTC"] |= {"root": root.hex(), "total": "50"}
        chunk = {"index": 0, "amount": "50", "path": beside}
        twice = {"format": verifier.PROOF_FORMAT, "user": "ann", "salt": bytes(32).hex(), "signed": alike.signed}
        once = through_json(twice | {"assets": {"BTC": {"balance": "50", "chunks": [chunk]}}})
        assert check_proof(once, "ann", alike.key)[1] == {"BTC": 50}
        untrue(
            alike, through_json(twice | {"assets": {"BTC": {"balance": "100", "chunks": [chunk] * 2}}}), "counted twice"
        )

    def test_pieces_that_are_left_out_of_the_proof_make_the_balance_smaller(self, platform):
        proof = platform.proof("ann")
        chunks = next(p for p in proof["assets"].values() if len(p["chunks"]) > 1)["chunks"]
        gone = int(chunks.pop()["amount"])
        assert gone >= 0
        untrue(platform, proof, "the pieces add up to")

    def test_a_node_shown_as_a_leaf_and_a_shorter_way(self, platform):
        proof = platform.proof("bob")
        chunk = proof["assets"]["BTC"]["chunks"][0]
        chunk["path"] = chunk["path"][:-1]
        untrue(platform, proof, "expected a way of 4 steps, got 3", "bob")

    def test_a_proof_of_another_epoch_or_asset(self, platform):
        later = Platform(OWED, epoch_ms=EPOCH_MS + 1)
        proof = platform.proof("bob")
        proof["signed"] = through_json(later.signed)
        untrue(later, proof, "does not end at the root", "bob")
        proof = platform.proof("bob")
        proof["assets"]["USD"] = proof["assets"].pop("BTC")
        untrue(platform, proof, "does not end at the root|expected a way", "bob")

    def test_another_s_signature(self, platform):
        proof = platform.proof("bob")
        other = ed25519(b"o" * 32)
        proof["signed"] = through_json(signed_document(platform.statement, other))
        untrue(platform, proof, "is signed by .*, expected", "bob")
        proof["signed"]["signature"]["public_key"] = platform.key
        untrue(platform, proof, "the statement is not signed by", "bob")

    @pytest.mark.parametrize("decimals", [float("inf"), -1, 41, "8", None, True])
    def test_an_asset_that_divides_as_none_does(self, platform, decimals):
        proof = platform.proof("ann")
        proof["signed"]["statement"]["assets"]["BTC"]["decimals"] = decimals
        with pytest.raises(Untrue, match="decimals"):
            check_proof(proof, "ann", platform.key)

    def test_a_number_that_json_does_not_have(self, platform):
        proof = platform.proof("ann")
        proof["signed"]["statement"]["previous"] = float("inf")
        with pytest.raises(Untrue, match="the statement has a number that is none"):
            check_proof(proof, "ann", platform.key)

    def test_a_changed_statement(self, platform):
        proof = platform.proof("bob")
        proof["signed"]["statement"]["previous"] = "00"
        untrue(platform, proof, "the statement is not signed by", "bob")


class TestReserves:
    @pytest.fixture
    def held(self, platform):
        def document(*holdings):
            return through_json(reserves_document(platform.statement, holdings))

        return document

    def holding(self, **changes):
        vault = ed25519(b"v" * 32)
        address = verifier.base58(vault.public_key)
        return Holding(**{"chain": "solana:localnet", "asset": "BTC", "address": address, "units": 160, "height": 7,
                          "signer": vault} | changes)  # fmt: skip

    def test_what_the_addresses_keys_have_signed_for_counts(self, platform, held):
        there = Holding("evm:1", "BTC", "0x" + "ab" * 20, 5, 9, ed25519(b"w" * 32))
        assert check_reserves(platform.statement, held(self.holding(), there)) == {"BTC": 165}

    def test_an_address_of_another_key_one_counted_twice_and_one_signed_for_another_statement_do_not(
        self, platform, held
    ):
        with pytest.raises(Untrue, match="is not the address of the key"):
            check_reserves(platform.statement, held(self.holding(signer=ed25519(b"x" * 32))))
        with pytest.raises(Untrue, match="is counted twice"):
            check_reserves(platform.statement, held(self.holding(), self.holding()))
        later = Platform(OWED, epoch_ms=EPOCH_MS + 1).statement
        with pytest.raises(Untrue, match=r"the challenge of .* is not signed by"):
            check_reserves(later, held(self.holding()))
        changed = held(self.holding())
        changed["reserves"][0]["units"] = "-5"
        with pytest.raises(Untrue, match="units at"):
            check_reserves(platform.statement, changed)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (("evm:1", "ETH", "0x" + "ab" * 20), ("evm:1", "ETH", "0x" + "AB" * 20)),
            (("evm:1", "ETH", "0x" + "ab" * 20), ("evm:1", "evm:1/ETH", "0x" + "ab" * 20)),
            (("solana:mainnet", "SOL", None), ("solana:mainnet-beta", "SOL", None)),
            (("bank:us", "USD", "acct-1"), ("bank:us", "bank:us/USD", "acct-1")),
        ],
    )
    def test_a_place_counts_once_however_it_is_written(self, platform, held, one, other):
        signer = ed25519(b"v" * 32)

        def holding(chain, asset, address):
            return Holding(chain, asset, address or verifier.base58(signer.public_key), 5, 9, signer)

        with pytest.raises(Untrue, match="is counted twice"):
            check_reserves(platform.statement, held(holding(*one), holding(*other)))

    def test_what_are_two_places_counts_twice(self, platform, held):
        signer, address = ed25519(b"v" * 32), "0x" + "ab" * 20
        places = [("evm:1", "ETH"), ("evm:137", "ETH"), ("evm:1", "USDC"), ("bank:us", "ETH"), ("bank:eu", "ETH")]
        reserves = held(*(Holding(chain, asset, address, 5, 9, signer) for chain, asset in places))
        assert check_reserves(platform.statement, reserves) == {"ETH": 20, "USDC": 5}

    @pytest.mark.parametrize(
        ("chain", "address"), [("evm:01", "0x" + "ab" * 20), ("evm:main", "0x" + "ab" * 20), ("evm:1", "0xa")]
    )
    def test_on_ethereum_s_chains_there_is_one_way_to_name_a_network(self, platform, held, chain, address):
        with pytest.raises(Untrue, match="expected"):
            check_reserves(platform.statement, held(Holding(chain, "ETH", address, 5, 9, ed25519(b"v" * 32))))

    def test_addresses_are_those_of_the_chains(self):
        key = bytes.fromhex("53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343")
        # BIP341's first vector of script pubkeys, and BIP350's of witness version 1.
        assert verifier.taproot_address("bc", key) == "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5"
        generator = verifier.K1_G[0].to_bytes(32, "big")
        assert (
            verifier.taproot_address("bc", generator)
            == "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
        )
        assert verifier.base58(bytes(32)) == "1" * 32  # Solana's system program


class TestSignatures:
    @pytest.mark.parametrize(
        ("data", "digest"),
        [  # Keccak's own test vectors (length 0), and what Ethereum's selectors are made of
            (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
            (b"transfer(address,uint256)", "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b"),
        ],
    )
    def test_keccak_as_published(self, data, digest):
        assert verifier.keccak256(data).hex() == digest

    @pytest.mark.parametrize("size", [1, 134, 135, 136, 137, 271, 272, 500])
    def test_keccak_where_its_blocks_end(self, size):
        data = bytes(n % 251 for n in range(size))
        assert verifier.keccak256(data) == keccak(data)

    @pytest.mark.parametrize(("r", "s", "v"), [(0, 1, 27), (1, 0, 27), (verifier.K1_N, 1, 27), (5, 1, 27), (1, 1, 29)])
    def test_what_is_no_signature_is_nobodys(self, r, s, v):
        """5 is no x of a point."""
        assert verifier.ecdsa_signer(bytes(32), r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])) == b""

    @pytest.mark.parametrize(
        "row", [*csv.DictReader((VECTORS / "bip340.csv").open())], ids=lambda r: r["comment"] or "valid"
    )
    def test_bip340_as_published(self, row):
        key, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
        assert verifier.bip340_verify(key, message, signature) == (row["verification result"] == "TRUE")

    @pytest.mark.parametrize(
        "row", [*csv.DictReader((VECTORS / "ed25519.csv").open())], ids=lambda r: r["message"] or "none"
    )
    def test_ed25519_as_published(self, row):
        key, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
        assert verifier.ed25519_verify(key, message, signature)
        for damaged in (bytes([signature[0] ^ 1]) + signature[1:], signature[:63] + bytes([signature[63] ^ 1])):
            assert not verifier.ed25519_verify(key, message, damaged)
        assert not verifier.ed25519_verify(key, message + b"x", signature)
        more = (
            int.from_bytes(signature[32:], "little") + verifier.ED_L
        )  # the same S once more around: malleable if accepted
        assert not verifier.ed25519_verify(key, message, signature[:32] + more.to_bytes(32, "little"))

    def test_secp256k1_as_rfc_9591_publishes_it(self):
        vector = json.loads((VECTORS.parent / "frost" / "secp256k1-vectors.json").read_text())
        inputs, signature = vector["inputs"], bytes.fromhex(vector["final_output"]["sig"])
        key, message = (bytes.fromhex(inputs[name]) for name in ("verifying_key_key", "message"))
        assert verifier.secp256k1_verify(key, message, signature)
        assert not verifier.secp256k1_verify(key, message + b"x", signature)
        for at in (0, 1, 32, 33, 64):
            damaged = bytes(byte ^ (n == at) for n, byte in enumerate(signature))
            assert not verifier.secp256k1_verify(key, message, damaged)
        assert not verifier.secp256k1_verify(bytes([key[0] ^ 1]) + key[1:], message, signature)
        assert not verifier.secp256k1_verify(b"\x04" + key[1:], message, signature)
        more = (int.from_bytes(signature[33:], "big") + verifier.K1_N).to_bytes(33, "big")[-32:]
        assert not verifier.secp256k1_verify(key, message, signature[:33] + more)
        with pytest.raises(Untrue):
            verifier.check_signature("secp256k1", key, message, signature[:-1], "it")

    def test_keys_that_are_no_points_verify_nothing(self):
        for key in (
            b"\x02" + bytes(31),
            b"\xff" * 32,
            (2**255 - 19 + 1).to_bytes(32, "little"),
            b"\x01" + bytes(30) + b"\x80",
        ):
            assert verifier.ed_point(key) is None
            assert not verifier.ed25519_verify(key, b"", bytes(64))


class TestFile:
    def test_it_stands_alone(self):
        """Customers download this one file."""
        tree = ast.parse(Path(verifier.__file__).read_text(), feature_version=(3, 9))
        names = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        }
        assert names <= sys.stdlib_module_names

    @pytest.fixture
    def files(self, platform, tmp_path):
        (tmp_path / "verify_balance.py").write_text(Path(verifier.__file__).read_text())
        (tmp_path / "proof.json").write_text(json.dumps(platform.proof("ann")))
        (tmp_path / "statement.json").write_text(json.dumps(platform.signed))
        (tmp_path / "BTC.leaves").write_bytes(platform.sheets["BTC"].encode())

        def run(*arguments):
            command = [sys.executable, "-I", "verify_balance.py", *arguments]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stdout

        return run

    def test_it_says_what_is_true(self, files, platform):
        code, said = files("proof.json", "--user", "ann", "--key", platform.key)
        assert code == 0
        assert "BTC: 0.00000100 of ann is in the total\nUSD: 123.45678901 of ann is in the total\n" in said
        assert verifier.statement_digest(platform.statement).hex() in said
        code, said = files("statement.json", "--leaves", "BTC=BTC.leaves", "--key", platform.key)
        assert (code, said.splitlines()[0]) == (0, "BTC: the published leaves make the root and the total")

    @pytest.mark.parametrize(
        "asset",
        ["USD: 1000.00000000 of ann is in the total\nX", "\x1b[2JX", "", "USD: 1000.00 of ann is in the total     "],
    )
    def test_the_name_of_an_asset_writes_no_lines_of_its_own(self, files, tmp_path, asset):
        """The platform chooses it, and whoever reads the verdict is to believe the verifier alone."""
        platform = Platform({asset: {"ann": 1}})
        (tmp_path / "proof.json").write_text(json.dumps(platform.proof("ann")))
        code, said = files("proof.json", "--user", "ann", "--key", platform.key)
        if asset.isprintable() and asset:
            assert said.splitlines()[0] == f"{asset!r}: 0.00000001 of ann is in the total"
        else:
            assert (code, said) == (1, f"NOT TRUE: expected a name of an asset, got {asset!r}\n")

    def test_a_proof_of_nothing_is_none(self, files, tmp_path, platform):
        (tmp_path / "proof.json").write_text(json.dumps(platform.proof("ann") | {"assets": {}}))
        said = files("proof.json", "--user", "ann", "--key", platform.key)
        assert said == (1, "NOT TRUE: the proof shows no balance at all of 'ann'\n")

    def test_a_terminal_that_has_not_all_letters_shows_the_verdict(self, tmp_path, monkeypatch):
        platform, out = Platform({"BTC": {"ünï 😀": 1}}), io.BytesIO()
        (tmp_path / "proof.json").write_text(json.dumps(platform.proof("ünï 😀")))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii", write_through=True))
        assert verifier.main([str(tmp_path / "proof.json"), "--user", "ünï 😀", "--key", platform.key]) == 0
        assert out.getvalue().splitlines()[0] == rb"BTC: 0.00000001 of \xfcn\xef \U0001f600 is in the total"

    def test_a_key_that_is_none_is_a_mistake_of_the_options(self, files):
        assert files("proof.json", "--user", "ann", "--key", "12ab") == (2, "")

    def test_it_says_what_was_not_checked(self, files):
        code, said = files("proof.json", "--user", "ann")
        assert code == 0
        assert "NOT CHECKED: whose key signed it" in said

    def test_it_says_what_is_not_true_or_cannot_be_read(self, files, tmp_path, platform):
        assert files("proof.json", "--user", "bob", "--key", platform.key) == (
            1,
            "NOT TRUE: the proof is for 'ann', not for 'bob'\n",
        )
        (tmp_path / "proof.json").write_text("[" * 100_000)
        assert files("proof.json", "--user", "ann")[0] == 2
        assert files("missing.json", "--user", "ann")[0] == 2
        poor = reserves_document(platform.statement, [TestReserves().holding(units=159)])
        (tmp_path / "reserves.json").write_text(json.dumps(poor))
        code, said = files("statement.json", "--reserves", "reserves.json", "--key", platform.key)
        assert (code, said) == (
            1,
            "NOT TRUE: BTC: reserves 0.00000159, owed 0.00000160: less than what is owed\n",
        )
