// Numbers, amounts and times as text: here and nowhere else.

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const THIN = "\u2009";
const MINUS = "−";
const NONE = "–";

const known = (value) => value !== null && value !== undefined && value !== "" && !Number.isNaN(value);

/** A count: 12,345. */
export const count = (value) => (known(value) ? GROUPED.format(value) : NONE);

/** A measured number with as many digits as mean something: 0.1234, 12.3, 12,345. */
export function number(value, digits = 4) {
  if (!known(value)) return NONE;
  if (typeof value !== "number") return decimal(value);
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-6) return value.toExponential(2).replace(/^-/, MINUS);
  return new Intl.NumberFormat(
    "en-US",
    size >= 1000 ? { maximumFractionDigits: 2 } : { maximumSignificantDigits: digits },
  )
    .format(value)
    .replace("-", MINUS);
}

/** Large counts for narrow places: 12.3k, 4.5M. */
export function short(value) {
  if (!known(value)) return NONE;
  const size = Math.abs(value);
  for (const [unit, name] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (size >= unit) return `${(value / unit).toFixed(size >= unit * 100 ? 0 : 1)}${name}`;
  }
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}

/** An exact amount that came as text: digits grouped, none lost, trailing zeros of the fraction left out. */
export function decimal(text) {
  if (!known(text)) return NONE;
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(String(text));
  if (!match) return String(text);
  const [, sign, whole, fraction] = match;
  const kept = (fraction ?? "").replace(/0+$/, "");
  return `${sign === "-" ? MINUS : ""}${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${kept ? `.${kept}` : ""}`;
}

/** Exact amounts of one column, with as many places as the longest has: their points stand below each other. */
export function aligned(texts) {
  const places = Math.max(0, ...texts.map((text) => (decimal(text).split(".")[1] ?? "").length));
  return texts.map((text) => {
    const [whole, fraction = ""] = decimal(text).split(".");
    return places ? `${whole}.${fraction.padEnd(places, "0")}` : whole;
  });
}

/** An amount for a glance: four digits of the fraction, of small ones three that mean something. The exact one is in the title. */
export function rounded(value) {
  if (!known(value)) return NONE;
  const text = typeof value === "number" ? value.toFixed(18) : String(value);
  const fraction = text.split(".")[1] ?? "";
  const size = Math.abs(Number(text));
  const places = size > 0 && size < 0.1 ? Math.min(18, Math.ceil(-Math.log10(size)) + 2) : 4;
  return decimal(fraction.length > places ? Number(text).toFixed(places) : text);
}

/** A number with so many digits of the fraction, zeros too: for scales, where points stand below each other. */
export const fixed = (value, places) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })
    .format(value)
    .replace("-", MINUS);

/** An exact amount with its sign shown when it is a gain. */
export const signed = (text) => (known(text) && Number(text) > 0 ? `+${decimal(text)}` : decimal(text));

/** A length of time that was measured in milliseconds: 0.4 ms, 12 ms, 3.2 s, 4 min, 2 h 5 min. */
export function duration(ms) {
  if (!known(ms)) return NONE;
  const size = Math.abs(ms);
  if (size > 0 && size < 1) return `${(ms * 1000).toFixed(0)}${THIN}µs`;
  if (size < 10) return `${Number(ms.toFixed(1))}${THIN}ms`;
  if (size < 1000) return `${ms.toFixed(0)}${THIN}ms`;
  if (size < 60e3) return `${Number((ms / 1000).toFixed(1))}${THIN}s`;
  if (size < 3600e3) return `${Number((ms / 60e3).toFixed(1))}${THIN}min`;
  return size < 86400e3 * 2
    ? `${Number((ms / 3600e3).toFixed(1))}${THIN}h`
    : `${Number((ms / 86400e3).toFixed(1))}${THIN}d`;
}

/** Epoch milliseconds of an event time, which is in its stream's unit: milli- or microseconds. */
export const epochMs = (time) => (time > 1e14 ? time / 1000 : time);

const pad = (value, width = 2) => String(value).padStart(width, "0");

/** UTC time of day: 12:03:04.123, without milliseconds if `coarse`. */
export function clock(ms, coarse = false) {
  if (!known(ms)) return NONE;
  const at = new Date(ms);
  const seconds = `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
  return coarse ? seconds : `${seconds}.${pad(at.getUTCMilliseconds(), 3)}`;
}

/** UTC date and time: 2026-11-23 12:03:04. */
export function moment(ms) {
  if (!known(ms)) return NONE;
  const at = new Date(ms);
  return `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())} ${clock(ms, true)}`;
}

/** What a hovered time says: UTC in full, and the same moment where the reader is. */
export const timeTitle = (ms) => (known(ms) ? `${moment(ms)} UTC\n${new Date(ms).toLocaleString()} here` : "");

/** How long ago, roughly: now, 12 s, 4 min, 3 h, 2 d. */
export function ago(ms, nowMs = Date.now()) {
  if (!known(ms)) return NONE;
  const seconds = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (seconds < 3) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

const UNITS = [
  [/_usd$/, (value) => `$${number(value, 3)}`],
  [/_bps$/, (value) => `${number(value, 3)}${THIN}bps`],
  [/_us$/, (value) => duration(value / 1000)],
  [/_ms$/, (value) => duration(value)],
  [/_s$/, (value) => duration(value * 1000)],
];

/** A measure of an alert as [name, text]: the unit that ends its name becomes part of the text. */
export function measure(name, value) {
  if (typeof value === "number") {
    const unit = UNITS.find(([ending]) => ending.test(name));
    const isTime = value > 1e12 && /(_us|_ms|^ts|_ts|_time)$/.test(name);
    if (isTime) return [words(name.replace(/_(us|ms)$/, "")), clock(epochMs(value))];
    return unit ? [words(name.replace(unit[0], "")), unit[1](value)] : [words(name), number(value, 6)];
  }
  if (value !== null && typeof value === "object") return [words(name), JSON.stringify(value)];
  return [words(name), value === null || value === undefined ? NONE : String(value)];
}

/** A column's name for people: max_open_orders becomes "max open orders". */
const words = (name) => name.replaceAll("_", " ");

/** The beginning of a long id. */
export const brief = (id, length = 10) => (id && id.length > length + 2 ? `${id.slice(0, length)}…` : (id ?? NONE));

const parts = (text) => {
  const match = /^([+-]?)(\d+)(?:\.(\d+))?$/.exec(String(text).trim());
  return match
    ? { digits: BigInt(`${match[1] === "-" ? "-" : ""}${match[2]}${match[3] ?? ""}`), places: (match[3] ?? "").length }
    : null;
};

/** The exact difference of two amounts that are text, as text; null where one is none. */
export function minus(a, b) {
  const [left, right] = [parts(a), parts(b)];
  if (!left || !right) return null;
  const places = Math.max(left.places, right.places);
  const difference =
    left.digits * 10n ** BigInt(places - left.places) - right.digits * 10n ** BigInt(places - right.places);
  const digits = String(difference < 0n ? -difference : difference).padStart(places + 1, "0");
  const text = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  return difference < 0n ? `-${text}` : text;
}

/** Per cent: 103.4 %. */
export const percent = (share) => (known(share) && Number.isFinite(share) ? `${number(share * 100, 4)}${THIN}%` : NONE);
