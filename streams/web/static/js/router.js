// The address after the # says what is shown: #/alerts/ID?severity=high. So views can be linked, and Back works.

/** The present place: {view, id, query}. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return {
    view: view || "alerts",
    id: rest.length ? decodeURIComponent(rest.join("/")) : null,
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** The address of a place. */
export function address({ view, id = null, query = {} }) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(kept).toString();
  return `#/${view}${id === null ? "" : `/${encodeURIComponent(id)}`}${text ? `?${text}` : ""}`;
}

/** Go to a place; `replace` leaves no step behind for Back (filters as they are typed). */
export function go(place, { replace = false } = {}) {
  const next = address(place);
  if (next === location.hash) return;
  if (replace) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
