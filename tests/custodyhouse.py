"""The files of custody for tests and benchmarks with real processes: roster, policy, everybody's keys, options of workers."""

from pathlib import Path

from streams.custody.keyfile import Keyfile
from streams.custody.mail import signer_topic  # noqa: F401 - for those who use the house
from streams.custody.owners import owner_address
from streams.custody.seeds import load_pen, make_seed
from streams.custody.strongbox import STRONG

PASSPHRASE = "correct horse battery staple"
PEOPLE = ("alice", "bob", "carol")
CHAINS = {"bitcoin": "bitcoin:regtest", "solana": "solana:local", "evm": "evm:31337", "safe": "safe:31337"}

POLICY = """
version: 1
people: {%s}
groups: {officers: [bob, carol]}
change: {group: officers, count: 2}
rules:
  - name: unknown-destination
    when: {destination_not_listed_for: 1 ms}
    then: reject
    reason: the destination is not on the whitelist
  - name: large-btc
    when: {asset: "bitcoin:regtest/BTC", amount_above: 1000000}
    then: approve
    group: officers
    count: 2
%s
  - name: rest
    then: reject
    reason: not foreseen
"""
ALLOWED = "\n".join(
    f'  - name: {name}\n    when: {{asset: "{asset}"}}\n    then: allow'
    for name, asset in (
        ("btc", "bitcoin:regtest/BTC"),
        ("sol", "solana:local/SOL"),
        ("eth", "evm:31337/ETH"),
        ("safe", "safe:31337/ETH"),
    )
)


class House:
    """Everything on disk.

    Args:
        folder: empty.
        kinds: of chains; a vault of alice's on each.
        signers, threshold: of each vault.
        strength: of keyfiles.
    """

    def __init__(self, folder: Path, kinds=("bitcoin", "solana", "evm"), signers=3, threshold=2, strength=STRONG):
        self.folder, self.numbers, self.threshold = folder, tuple(range(1, signers + 1)), threshold
        folder.mkdir(exist_ok=True)
        self.passphrase = self._write("passphrase", PASSPHRASE)
        self.publics = {}
        for name in (*PEOPLE, "coordinator", "chains", "operations", "shop"):
            self.publics[name] = make_seed(self.key(name)).hex()
        signer_keys, self.owners = {}, {}
        for number in self.numbers:
            file = Keyfile.create(self.keyfile(number), number, PASSPHRASE, strength)
            self.owners[number] = owner_address(file.seed, "alice-safe")
            signer_keys[number] = file.identity().verify_key.hex()
            file.close()
        people = ", ".join(f"{name}: {self.publics[name]}" for name in PEOPLE)
        self.policy = self._write("policy.yaml", POLICY % (people, ALLOWED))
        self.roster = self._write("custody.toml", self._roster(kinds, signer_keys, threshold))

    def _write(self, name, text):
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o600)
        return file

    def _roster(self, kinds, signer_keys, threshold):
        lines = ["[coordinator]", f'key = "{self.publics["coordinator"]}"', "[facts]"]
        lines += [f'{name} = "{self.publics[name]}"' for name in ("chains", "operations")]
        lines += ["[requesters]", f'shop = "{self.publics["shop"]}"', "[signers]"]
        lines += [f'{number} = "{key}"' for number, key in signer_keys.items()]
        for kind in kinds:
            lines += [f"[vaults.alice-{kind}]", f'chain = "{CHAINS[kind]}"', 'account = "alice"']
            lines += [f"signers = {list(self.numbers)}", f"threshold = {threshold}"]
            if kind == "safe":
                owned = ", ".join(f'{number} = "{address}"' for number, address in self.owners.items())
                lines += [f"owners = {{{owned}}}"]
        lines += ["[audit]", f"signers = {list(self.numbers)}", f"threshold = {threshold}"]
        return "\n".join(lines) + "\n"

    def key(self, name):
        return self.folder / f"{name}.key"

    def keyfile(self, number):
        return self.folder / f"signer-{number}.keyfile"

    def pen(self, name):
        return load_pen(name, self.key(name))

    def coordinator(self):
        """Options of ``m1cep worker``."""
        common = ("--agents", "custody", "--custody", self.roster, "--policy", self.policy)
        return (*common, "--coordinator-key", self.key("coordinator"), "--chains-key", self.key("chains"))

    def signer(self, number):
        """Options of ``m1cep worker``; the environment needs ``M1CEP_SIGNER_PASSPHRASE_FILE``."""
        common = ("--agents", "signer", "--custody", self.roster, "--policy", self.policy)
        return (*common, "--signer", number, "--keyfile", self.keyfile(number))

    def person(self, name):
        """Options of ``m1cep custody ...``."""
        return ("--as", name, "--key", self.key(name), "--custody", self.roster)
