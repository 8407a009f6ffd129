// One question a line in, one answer a line out, in JSON: what @noble/curves makes of FROST.
// Bytes travel as hex. Nonces stay here, under a number.
import { createInterface } from 'node:readline';
import { ed25519_FROST, ed25519 } from '@noble/curves/ed25519.js';
import { schnorr_FROST, secp256k1_FROST, schnorr } from '@noble/curves/secp256k1.js';
import { bytesToHex, hexToBytes } from '@noble/curves/utils.js';

const SUITES = { ed25519: ed25519_FROST, secp256k1: secp256k1_FROST, 'secp256k1-tr': schnorr_FROST };
const kept = [];

const hexed = (value) =>
  value instanceof Uint8Array ? bytesToHex(value)
    : Array.isArray(value) ? value.map(hexed)
      : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, hexed(v)]))
        : value;
const list = (values) => values.map(hexToBytes);
const publicOf = (p) => ({
  signers: p.signers,
  commitments: list(p.commitments),
  verifyingShares: Object.fromEntries(Object.entries(p.verifyingShares).map(([k, v]) => [k, hexToBytes(v)])),
});
const secretOf = (s) => ({ identifier: s.identifier, signingShare: hexToBytes(s.signingShare) });
const commitmentsOf = (l) =>
  l.map((c) => ({ identifier: c.identifier, hiding: hexToBytes(c.hiding), binding: hexToBytes(c.binding) }));

const ANSWERS = {
  identifier: (frost, { number }) => frost.Identifier.fromNumber(number),
  deal: (frost, { min, max }) => frost.trustedDealer({ min, max }),
  commit: (frost, { secret }) => {
    const { nonces, commitments } = frost.commit(secretOf(secret));
    return { kept: kept.push(nonces) - 1, commitments };
  },
  sign: (frost, q) =>
    frost.signShare(secretOf(q.secret), publicOf(q.public), kept[q.kept], commitmentsOf(q.commitments), hexToBytes(q.message)),
  verifyShare: (frost, q) =>
    frost.verifyShare(publicOf(q.public), commitmentsOf(q.commitments), hexToBytes(q.message), q.identifier, hexToBytes(q.share)),
  aggregate: (frost, q) =>
    frost.aggregate(publicOf(q.public), commitmentsOf(q.commitments), hexToBytes(q.message),
      Object.fromEntries(Object.entries(q.shares).map(([k, v]) => [k, hexToBytes(v)]))),
  verify: (frost, q) => frost.verify(hexToBytes(q.signature), hexToBytes(q.message), hexToBytes(q.key)),
  verifyPlain: (_, q) =>
    (q.suite === 'ed25519' ? ed25519 : schnorr).verify(hexToBytes(q.signature), hexToBytes(q.message), hexToBytes(q.key)),
  combine: (frost, q) => frost.combineSecret(q.secrets.map(secretOf), q.signers),
  // all rounds of a key generation among noble's own participants, with what they said in the first
  generate: (frost, { min, max }) => {
    const ids = Array.from({ length: max }, (_, i) => frost.Identifier.fromNumber(i + 1));
    const first = ids.map((id) => frost.DKG.round1(id, { min, max }));
    const others = (id) => first.map((f) => f.public).filter((p) => p.identifier !== id);
    const second = Object.fromEntries(ids.map((id, i) => [id, frost.DKG.round2(first[i].secret, others(id))]));
    const keys = ids.map((id, i) =>
      frost.DKG.round3(first[i].secret, others(id), ids.filter((o) => o !== id).map((o) => second[o][id])));
    return { first: first.map((f) => f.public), keys };
  },
  // whether a participant of noble's takes another's first message
  takes: (frost, { min, max, other }) => {
    const { secret } = frost.DKG.round1(frost.Identifier.fromNumber(1), { min, max });
    try {
      frost.DKG.round2(secret, [{
        identifier: other.identifier,
        commitment: list(other.commitment),
        proofOfKnowledge: hexToBytes(other.proof),
      }]);
      return true;
    } catch (error) {
      return error.message;
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  let answer;
  try {
    answer = { answer: hexed(ANSWERS[question.ask](SUITES[question.suite], question)) };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
