// Requests to move what is kept: how many signers said yes, what each of them said, and what the chain made of it.

import * as badges from "../badges.js";
import { DocumentList } from "../document-list.js";
import { h, put } from "../dom.js";
import { ago, brief, clock, count, decimal, moment, timeTitle } from "../format.js";
import { empty } from "../list.js";
import { address } from "../router.js";

export const title = "Custody";

const TONES = { confirmed: "good", rejected: "bad", expired: "warn", cancelled: "warn", unresolved: "bad" };
const STEPS = ["requested", "approving", "signing", "signed", "broadcast", "confirmed"];
const ANSWERS = { approve: ["approves", "good"], reject: ["rejects", "bad"] };
const COLUMNS = [["Status"], ["Signers"], ["Request"], ["Amount"], ["To", "second"], ["Asked UTC", "second"]];

const given = ({ answers }) => answers.filter(({ answer }) => answer === "approve").length;
const refused = ({ answers }) => answers.filter(({ answer }) => answer === "reject").length;
/** An amount with its asset, which custody's own texts have in them already: 1,234.5 BTC. */
const amount = ({ amount: text, asset }) => {
  const [figure, unit = asset] = String(text).split(" ");
  return `${decimal(figure)} ${unit}`;
};

function paint(row, request) {
  put(
    row,
    badges.chip(request.status, TONES[request.status] ?? "quiet"),
    badges.progress(given(request), refused(request), request.m, request.n),
    h("span", { class: "cut strong" }, request.id),
    h("span", { class: "cut" }, amount(request)),
    h("span", { class: "cut mono dim second" }, request.to),
    h("time", { class: "mono dim second", title: timeTitle(request.created_ms) }, clock(request.created_ms, true)),
  );
}

const describe = (request) =>
  `${request.id}, ${amount(request)}, ${request.status}, ${given(request)} of ${request.m} signers, asked ${ago(request.created_ms)}`;
const fact = (name, value, kind = "") => h("div", null, h("dt", null, name), h("dd", { class: kind }, value));

/** A reason; alerts that it names lead to them. */
const told = (reason) =>
  reason
    .split(/\b([0-9a-f]{32})\b/)
    .map((part, at) =>
      at % 2 ? h("a", { href: address({ view: "alerts", id: part }), title: part }, brief(part)) : part,
    );

function answer({ signer, answer: said, word, rule, reasons, time_ms: ms }) {
  const [text, tone] = ANSWERS[said] ?? [word === "wait" ? "waits" : "no answer", "quiet"];
  return h(
    "li",
    { class: "answer" },
    h("b", null, `Signer ${signer}`),
    badges.chip(text, tone),
    h(
      "p",
      null,
      rule ? h("span", { class: "dim" }, `policy ${rule}${reasons.length ? ": " : ""}`) : null,
      told(reasons.join("; ")),
    ),
    ms ? h("time", { class: "mono dim", title: timeTitle(ms) }, clock(ms, true)) : h("span"),
  );
}

function steps(status) {
  const at = STEPS.indexOf(status);
  return at < 0
    ? null
    : h(
        "p",
        { class: "steps" },
        STEPS.map((name, n) => [n ? " › " : "", n === at ? h("b", { "aria-current": "step" }, name) : name]),
      );
}

export function detail(request, close) {
  const reasons = request.reasons.filter((reason) => !/^signer \d/.test(reason)); // the signers say theirs below
  return h(
    "article",
    { class: "detail", "aria-label": `Request ${request.id}` },
    h(
      "div",
      { class: "detail-content" },
      h(
        "header",
        { class: "detail-head" },
        badges.chip(request.status, TONES[request.status] ?? "quiet"),
        h("h1", { class: "grow cut" }, request.id),
        h(
          "button",
          { type: "button", class: "ghost back", title: "Back to the list (Esc)", onclick: close },
          "×",
          h("span", { class: "unseen" }, "Close the detail"),
        ),
      ),
      h("p", { class: "summary" }, h("b", null, amount(request)), ` from vault ${request.vault} on ${request.chain}`),
      steps(request.status),
      reasons.map((reason) =>
        h("p", { class: `note ${TONES[request.status] === "good" ? "" : "warn"}` }, told(reason)),
      ),
      h(
        "section",
        { class: "block" },
        h("h2", null, `Signers: ${given(request)} of ${request.m} needed, ${request.n} in all`),
        h("div", null, badges.progress(given(request), refused(request), request.m, request.n)),
        h("ul", { class: "answers" }, request.answers.map(answer)),
      ),
      h(
        "dl",
        { class: "pairs-list" },
        fact("to", request.to, "mono long"),
        request.kind ? fact("kind", request.kind) : null,
        request.requester ? fact("asked by", request.requester) : null,
        fact("asked", `${moment(request.created_ms)} UTC`),
        request.expires_ms ? fact("expires", `${moment(request.expires_ms)} UTC`) : null,
        request.confirmations || STEPS.includes(request.status)
          ? fact("on the chain", request.confirmations ? String(request.confirmations) : "not yet")
          : null,
        request.txid ? fact("transaction", request.txid, "mono long") : null,
      ),
    ),
  );
}

function vaultPanel(rows) {
  return h(
    "section",
    { class: "vaults" },
    h("div", { class: "bar" }, h("h2", null, "Vaults")),
    h(
      "div",
      { class: "scroll short", tabindex: 0, role: "region", "aria-label": "Vaults" },
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col" }, "Vault"),
            h("th", { scope: "col", class: "num" }, "Free"),
            ["Account", "Chain", "Signers", "Address"].map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        rows,
      ),
    ),
  );
}

export class View extends DocumentList {
  constructor(root) {
    const vaults = h("tbody");
    const panel = vaultPanel(vaults);
    super(root, {
      view: "custody",
      document: "custody",
      heading: "Custody requests",
      label: "Custody requests, newest first",
      kind: "request",
      columns: COLUMNS,
      paint,
      describe,
      below: panel,
    });
    Object.assign(this, { vaults, panel });
    this.follow();
  }

  itemsOf({ requests }) {
    return [...(requests ?? [])].sort((a, b) => b.created_ms - a.created_ms);
  }

  totalOf(requests) {
    const underWay = requests.filter(({ status }) => !(status in TONES)).length;
    return `${count(requests.length)} in all, ${count(underWay)} under way`;
  }

  draw() {
    super.draw();
    const vaults = this.value?.vaults ?? [];
    this.panel.hidden = !vaults.length;
    put(
      this.vaults,
      vaults.map((vault) =>
        h(
          "tr",
          null,
          h("td", { class: "strong" }, vault.vault),
          h("td", { class: "num" }, amount({ amount: vault.free, asset: vault.asset })),
          h("td", null, vault.account),
          h("td", null, vault.chain),
          h("td", null, `${vault.threshold} of ${vault.signers.length}`),
          h("td", { class: "mono dim" }, vault.address),
        ),
      ),
    );
  }

  open(request) {
    const mark = JSON.stringify(request);
    if (mark !== this.mark) put(this.side, request ? detail(request, () => this.shut()) : null);
    this.mark = mark;
  }

  none() {
    return empty(
      "No custody requests",
      "A withdrawal or cross-chain transfer appears here with the answer of every signer. Ask for one:",
      h("code", null, "m1cep custody request --help"),
    );
  }
}
