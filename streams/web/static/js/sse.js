// Server-sent events over fetch. EventSource gives up for good when a restarting server answers 502, forgets Last-Event-ID then,
// and cannot send the token; this goes on by itself.

import { request } from "./api.js";

const SILENCE_MS = 45_000; // the server says something every 15 s
const WAITS_MS = [300, 700, 1500, 3000, 5000, 10_000];

/** Splits a text stream into events: feed(text) calls `emit({event, data, id})`; id is null where none was sent. */
export class Parser {
  constructor(emit) {
    this.emit = emit;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.event = "message";
    this.lines = [];
    this.id = null;
  }

  feed(text) {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    for (const line of lines) this.line(line);
  }

  line(line) {
    if (line === "") {
      if (this.lines.length) this.emit({ event: this.event, data: this.lines.join("\n"), id: this.id });
      this.clear();
      return;
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === "data") this.lines.push(value ?? "");
    else if (field === "event") this.event = value;
    else if (field === "id") this.id = value ?? "";
  }
}

/** A stream that comes back by itself, and says to the server what it heard last. */
export class Stream {
  /**
   * @param {string} path where the events are
   * @param {(event: {event: string, data: string, id: string?}) => void} hear
   * @param {(state: "live" | "waiting", detail?: string) => void} tell
   */
  constructor(path, hear, tell) {
    Object.assign(this, { path, hear, tell, last: null, tries: 0, abort: null, wanted: false, timer: 0 });
  }

  open() {
    if (this.wanted) return;
    this.wanted = true;
    this.connect();
  }

  close() {
    this.wanted = false;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  /** Try now instead of when the wait is over. */
  hurry() {
    if (!this.wanted || this.abort) return;
    clearTimeout(this.timer);
    this.connect();
  }

  async connect() {
    const abort = (this.abort = new AbortController());
    let why = "the server ended the stream";
    try {
      await this.read(abort);
    } catch (error) {
      why = error.name === "AbortError" ? "nothing was heard" : error.message;
    }
    clearTimeout(this.silence);
    if (this.abort === abort) this.abort = null;
    if (!this.wanted) return;
    this.tell("waiting", why);
    const wait = WAITS_MS[Math.min(this.tries++, WAITS_MS.length - 1)];
    this.timer = setTimeout(() => this.connect(), wait * (0.8 + 0.4 * Math.random()));
  }

  async read(abort) {
    const headers = { Accept: "text/event-stream", ...(this.last === null ? {} : { "Last-Event-ID": this.last }) };
    this.watch(abort);
    const response = await request(this.path, { headers, signal: abort.signal, cache: "no-store" });
    this.tries = 0;
    this.tell("live");
    const parser = new Parser((event) => {
      if (event.id !== null) this.last = event.id;
      this.hear(event);
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || !this.wanted) return;
      this.watch(abort);
      parser.feed(value);
    }
  }

  watch(abort) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => abort.abort(), SILENCE_MS);
  }
}
