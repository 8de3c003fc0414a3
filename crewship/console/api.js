// The API, spoken with the session's cookie. The header is what another site's page cannot send.
const ATTEMPTS = 3;
const HEADERS = { "X-Crewship-Console": "1" };

export class ApiError extends Error {
  constructor(status, code, message, extras = {}) {
    super(message);
    Object.assign(this, { status, code, extras });
  }
}

const signedOut = new Set();
/** Call `listener` whenever the server says that nobody is signed in; returns how to stop. */
export function onSignedOut(listener) {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

/** A path with every value in it escaped: url`/v1/runs/${id}`. */
export function url(texts, ...values) {
  return texts.reduce((path, text, at) => path + encodeURIComponent(values[at - 1]) + text);
}

/** `path` with those parameters that are neither empty nor undefined. */
export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** A response of the API; throws ApiError for what it refuses (status 0: it did not answer). */
export async function request(path, { method = "GET", headers = {}, body, signal } = {}) {
  let response;
  for (let attempt = 1; !response; attempt += 1) {
    try {
      response = await fetch(path, { method, headers: { ...HEADERS, ...headers }, body, signal, credentials: "same-origin" });
    } catch (fault) {
      if (fault.name === "AbortError") throw fault;
      // A browser also drops a request when the machine's networks change; to ask again changes nothing.
      if (method !== "GET" || attempt === ATTEMPTS) throw new ApiError(0, "unreachable", "The server does not answer");
      await new Promise((resolve) => setTimeout(resolve, attempt * 150));
    }
  }
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  if (response.status === 401) signedOut.forEach((listener) => listener());
  const { message = `The server answered ${response.status}`, code = "internal", ...extras } = error;
  throw new ApiError(response.status, code, message, extras);
}

async function json(path, method, value) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body });
  return response.status === 204 ? null : response.json();
}

export const get = (path) => json(path, "GET");
export const post = (path, value = {}) => json(path, "POST", value);
export const put = (path, value) => json(path, "PUT", value);
export const patch = (path, value) => json(path, "PATCH", value);
export const remove = (path) => json(path, "DELETE");
