// The frame of a view that lists what a document holds: columns, rows, and beside them what is open.

import { h, put, say } from "./dom.js";
import { documents, refresh } from "./live.js";
import { List, empty } from "./list.js";
import { go, here } from "./router.js";

export class DocumentList {
  /**
   * The views that extend this say `itemsOf(value)` in the order of the list, `totalOf(items)`, `none()`, and `open(item)`.
   *
   * @param {HTMLElement} root
   * @param {object} options
   * @param {string} options.view its name in the address
   * @param {string} options.document the name of the document; its items have an `id`
   * @param {string} options.heading what stands above the list
   * @param {string} options.label what the list is, for a screen reader
   * @param {string} options.kind one of its items; also the class of rows and columns
   * @param {[string, string?][]} options.columns names, and the classes of those that need some
   * @param {Function} options.paint,options.describe see `List`
   * @param {HTMLElement[]} [options.tools] beside the heading
   * @param {HTMLElement} [options.below] under the list
   */
  constructor(root, { view, document, heading, label, kind, columns, paint, describe, tools = [], below = null }) {
    Object.assign(this, { view, document, kind, id: null });
    const open = ({ id }) => go({ view, id, query: here().query });
    this.list = new List({ label, key: ({ id }) => id, kind, paint, describe, open });
    this.total = h("span", { class: "dim" });
    this.side = h("div", { class: "side", hidden: true });
    this.blank = h("div", { class: "grow" });
    this.columns = h(
      "div",
      { class: `columns ${kind}`, "aria-hidden": "true" },
      columns.map(([name, classes]) => h("span", { class: classes ?? "" }, name)),
    );
    this.split = h(
      "div",
      { class: "split" },
      h("div", { class: "main" }, this.columns, this.list.element, this.blank, below),
      this.side,
    );
    root.append(
      h(
        "div",
        { class: "view" },
        h("div", { class: "bar" }, h("h1", null, heading), this.total, h("span", { class: "grow" }), tools),
        this.split,
      ),
    );
  }

  /** Draw now and whenever the document changes; to be called when the view is made. */
  follow() {
    this.stop = documents[this.document].follow(() => this.draw());
    refresh(this.document).catch((error) => {
      this.error = error;
      this.draw();
    });
  }

  get value() {
    return documents[this.document].value;
  }

  show({ id }) {
    this.id = id;
    this.draw();
    if (id !== null) this.list.chooseKey(id);
  }

  shut() {
    go({ view: this.view, query: here().query });
    this.list.element.focus();
  }

  draw() {
    const items = this.value ? this.itemsOf(this.value) : [];
    this.list.set(items);
    for (const part of [this.list.element, this.columns]) part.hidden = !items.length;
    this.blank.hidden = items.length > 0;
    if (!items.length) put(this.blank, this.why());
    say(this.total, this.value ? this.totalOf(items) : "");
    const chosen = items.find(({ id }) => id === this.id);
    this.side.hidden = !chosen;
    this.split.classList.toggle("open", Boolean(chosen));
    this.open(chosen ?? null);
    this.list.draw();
  }

  why() {
    if (this.error) return empty(`The ${this.kind}s could not be read`, `${this.error.message}. ${this.error.remedy ?? ""}`);
    return this.value ? this.none() : empty("Reading …", "");
  }

  keys() {
    const leave = () => {
      if (this.id) this.shut();
    };
    return [...this.list.keys(this.kind), ["Escape", "Close the detail", leave]];
  }

  focus() {
    this.list.element.focus();
  }

  leave() {
    this.stop();
    this.list.close();
  }
}
