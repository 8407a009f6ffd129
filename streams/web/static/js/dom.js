// Elements without HTML text: what comes from events only ever becomes text nodes and attributes.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** An element: h("p", {class: "dim"}, "text", h("b", null, 1)). Properties that begin with "on" are listeners. */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** The same in SVG's name space. */
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Put these children in place of those that are there. */
export function put(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Write text only when it changed: a live region and a selection are left alone otherwise. */
export function say(element, text) {
  const next = String(text);
  if (element.textContent !== next) element.textContent = next;
}

/** Whether keys belong to what has the focus: a field, a list of choices. */
export const typing = () => /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
