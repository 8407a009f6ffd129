// Requests to the server: JSON, the token, errors that say what to do.

const TOKEN = "m1cep.token";
let asked = null;
let askForToken = async () => null;

/** Who asks a person for the token: an async function (wasWrong) that gives it, or null. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

const read = () => {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
};

/** The headers that every request carries. */
function identity() {
  const token = read();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Ask for the token once, however many requests found that it is needed; `used` is the one that was refused. */
async function renewToken(used) {
  if (read() !== used && read()) return;
  asked ??= askForToken(Boolean(used)).then((token) => {
    asked = null;
    try {
      if (token) sessionStorage.setItem(TOKEN, token);
    } catch {
      /* asked again on the next page */
    }
  });
  await asked;
}

/** What a server answered that was not what was asked for. */
class ApiError extends Error {
  constructor(status, error, remedy) {
    super(error);
    this.status = status;
    this.remedy = remedy;
  }
}

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  return new ApiError(response.status, body.error ?? `the server answered ${response.status}`, body.remedy ?? "");
}

/** Send a request; a wrong or missing token is asked for and the request sent again. */
export async function request(path, options = {}) {
  for (;;) {
    const used = read();
    const response = await fetch(path, { ...options, headers: { ...identity(), ...options.headers } });
    if (response.status === 401) await renewToken(used);
    else if (response.ok) return response;
    else throw await failure(response);
  }
}

/** GET a JSON document; parameters that are empty are left out. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value)).toString();
  const response = await request(query ? `${path}?${query}` : path, { signal });
  return response.json();
}

/** POST a JSON document. The header says that it was this page that asked, not another site. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-M1CEP": "1" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
}
