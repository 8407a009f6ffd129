// What stands above the page: the token, the list of keys.

import { h, put } from "./dom.js";
import { enable, enabled, listed } from "./keys.js";

function show(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return dialog;
}

/** Ask for the token; it is kept for this tab only. Gives it. */
export const askToken = (wasWrong) =>
  new Promise((done) => {
    const field = h("input", {
      type: "password",
      id: "token",
      name: "token",
      autocomplete: "current-password",
      required: true,
      autofocus: true,
    });
    const form = h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          dialog.close();
          done(field.value.trim());
        },
      },
      h("h1", null, "Token"),
      h(
        "p",
        { class: wasWrong ? "note warn" : "dim", role: wasWrong ? "alert" : null, id: "token-why" },
        wasWrong
          ? "The server does not know this token. Try again."
          : "This server asks for a token: the one in M1CEP_WEB_TOKEN or its file.",
      ),
      h("label", { for: "token" }, "Token"),
      field,
      h("p", { class: "dim" }, "It is kept until this tab is closed."),
      h("div", { class: "dialog-acts" }, h("button", { class: "main-act" }, "Go on")),
    );
    const dialog = h(
      "dialog",
      { "aria-label": "Token", "aria-describedby": "token-why", oncancel: (event) => event.preventDefault() },
      form,
    );
    show(dialog);
  });

const keyNames = (keys) => keys.split(" ").map((key, at) => [at ? " then " : "", h("kbd", null, key)]);
const rows = (entries) =>
  h(
    "dl",
    { class: "key-list" },
    entries.map(([keys, what]) => h("div", null, h("dt", null, keyNames(keys)), h("dd", null, what))),
  );

/** The keys of the page and of the view that is shown. */
export function showKeys() {
  const { page, view } = listed();
  const dialog = h("dialog", { "aria-labelledby": "keys-title", class: "keys" });
  const box = h("input", { type: "checkbox", id: "keys-on", onchange: () => enable(box.checked) });
  box.checked = enabled();
  put(
    dialog,
    h(
      "header",
      null,
      h("h1", { id: "keys-title", class: "grow" }, "Keys"),
      h(
        "button",
        { type: "button", class: "ghost", autofocus: true, onclick: () => dialog.close() },
        "×",
        h("span", { class: "unseen" }, "Close"),
      ),
    ),
    h(
      "div",
      { class: "key-columns" },
      view.length ? h("section", null, h("h2", null, "Here"), rows(view)) : null,
      h("section", null, h("h2", null, "Everywhere"), rows(page)),
    ),
    h("label", { class: "check" }, box, " Single keys are shortcuts (turn off for speech input)"),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  show(dialog);
}
