// A list of any length of which only what is seen is in the page. One stop for Tab; the arrow keys, j and k choose, Enter opens.

import { h } from "./dom.js";

const SPARE = 8;
let ids = 0;

export class List {
  /**
   * @param {object} options
   * @param {string} options.label what the list is, for a screen reader
   * @param {(item) => string} options.key an id, unique in the list
   * @param {(row: HTMLElement, item) => void} options.paint fills a row; called again when the items change
   * @param {(item) => string} options.describe a row as a sentence
   * @param {(item) => void} options.open Enter or a click
   * @param {() => void} [options.more] the end was reached
   * @param {string} [options.kind] a class for the rows
   */
  constructor(options) {
    Object.assign(this, { more: () => {}, kind: "", ...options, items: [], chosen: null, rows: new Map() });
    this.sizer = h("div", { class: "sizer", role: "presentation" });
    this.element = h(
      "div",
      {
        class: "list",
        role: "listbox",
        tabindex: 0,
        "aria-label": this.label,
        onscroll: () => this.draw(),
        onkeydown: (event) => this.onKey(event),
        onclick: (event) => this.onClick(event),
        onfocus: () => {
          if (!this.chosen && this.items.length) this.choose(0);
        },
      },
      this.sizer,
    );
    this.watcher = new ResizeObserver(() => this.draw(true));
    this.watcher.observe(this.element);
  }

  /** Show these items. What was under the reader's eyes stays there unless the list is at its top and nothing is chosen. */
  set(items) {
    const anchor = this.anchor();
    this.items = [...items]; // a copy: the anchor is sought among what was shown
    this.index = new Map(items.map((item, at) => [this.key(item), at]));
    this.measure(); // first: a list that is still short cannot be scrolled far
    if (anchor && this.index.has(anchor.key))
      this.element.scrollTop = this.index.get(anchor.key) * this.height + anchor.offset;
    this.draw(true);
  }

  anchor() {
    const top = this.element.scrollTop;
    if (!this.items.length || !this.height || (top === 0 && !this.pinned)) return null;
    const at = this.pinned && this.at >= 0 ? this.at : Math.min(this.items.length - 1, Math.floor(top / this.height));
    return { key: this.key(this.items[at]), offset: top - at * this.height };
  }

  /** Keep the chosen row where it is even at the top: something about it is open. */
  pin(on) {
    this.pinned = on;
  }

  get at() {
    return this.chosen === null ? -1 : (this.index?.get(this.chosen) ?? -1);
  }

  get item() {
    return this.at < 0 ? null : this.items[this.at];
  }

  /** How many rows are above what is seen. */
  get above() {
    return this.height ? Math.round(this.element.scrollTop / this.height) : 0;
  }

  measure() {
    this.height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row-height")) || 30;
    this.sizer.style.height = `${this.items.length * this.height}px`;
  }

  draw(all = false) {
    this.measure();
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - SPARE);
    const last = Math.min(
      this.items.length,
      Math.ceil((this.element.scrollTop + this.element.clientHeight) / this.height) + SPARE,
    );
    const wanted = new Set();
    for (let at = first; at < last; at += 1) wanted.add(this.key(this.items[at]));
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    for (let at = first; at < last; at += 1) this.place(this.items[at], at, first, all);
    if (last === this.items.length && this.items.length) this.more();
  }

  place(item, at, first, all) {
    const key = this.key(item);
    let row = this.rows.get(key);
    const isNew = !row;
    if (isNew) {
      row = h("div", { class: `row ${this.kind}`, role: "option", id: `row-${++ids}` });
      row.dataset.key = key;
      this.rows.set(key, row);
    }
    const inPlace = this.sizer.children[at - first] ?? null; // the order of the page is that of the eye
    if (inPlace !== row) this.sizer.insertBefore(row, inPlace);
    if (isNew || all) {
      this.paint(row, item);
      row.setAttribute("aria-label", this.describe(item));
    }
    row.style.transform = `translateY(${at * this.height}px)`;
    row.setAttribute("aria-posinset", at + 1);
    row.setAttribute("aria-setsize", this.items.length);
    this.mark(row, key);
  }

  mark(row, key) {
    const isChosen = key === this.chosen;
    row.setAttribute("aria-selected", isChosen);
    if (isChosen) this.element.setAttribute("aria-activedescendant", row.id);
  }

  /** Choose the row with this number, and bring it into view. */
  choose(at) {
    if (!this.items.length) return;
    const next = Math.max(0, Math.min(this.items.length - 1, at));
    this.chosen = this.key(this.items[next]);
    const top = next * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.draw();
  }

  /** Choose the item of this id, if it is there; null chooses none. */
  chooseKey(key) {
    const at = this.index?.get(key);
    if (at !== undefined) this.choose(at);
    else {
      this.chosen = key;
      this.element.removeAttribute("aria-activedescendant");
      this.draw();
    }
  }

  /** Choose the item of this id and bring it to the middle: where a link leads. */
  reveal(key) {
    this.chooseKey(key);
    if (this.at >= 0) this.element.scrollTop = (this.at + 0.5) * this.height - this.element.clientHeight / 2;
  }

  step(by) {
    this.choose(this.at < 0 ? Math.floor(this.element.scrollTop / this.height) : this.at + by);
  }

  openChosen() {
    if (this.item) this.open(this.item);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) this.step(moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.openChosen();
    else return;
    event.preventDefault();
  }

  onClick(event) {
    const key = event.target.closest(".row")?.dataset.key;
    if (key === undefined) return;
    this.chooseKey(key);
    this.openChosen();
  }

  /** Keys for the view that shows this list. */
  keys(what) {
    return [
      ["j", `Next ${what}`, () => this.step(1)],
      ["k", `Previous ${what}`, () => this.step(-1)],
      ["Enter", `Open ${what}`, () => this.openChosen()],
    ];
  }

  close() {
    this.watcher.disconnect();
  }
}

/** What stands where a list is empty: what that means and what to do. */
export const empty = (title, text, ...rest) =>
  h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", null, text), rest);
