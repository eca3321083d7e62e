// Asking the service. What belongs here: requests, the key, errors as the service tells them. What does not: showing them.

let key = null;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || "the service did not say why");
    this.status = status;
    this.title = body.title || "The service could not answer";
    this.errors = body.errors || [];
    this.requestId = body.request_id || null;
  }
}

export function useKey(given) {
  key = given;
}

export async function ask(method, path, body = undefined, headers = {}) {
  const sent = { "X-API-Key": key, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let reply;
  try {
    const content = body === undefined ? undefined : JSON.stringify(body);
    reply = await fetch(path, { method, headers: sent, body: content, credentials: "omit", cache: "no-store" });
  } catch {
    throw new Problem(0, { title: "The service does not answer", detail: "Check that it runs, then try again." });
  }
  let answer = null;
  try {
    answer = await reply.json();
  } catch {
    throw new Problem(reply.status, { detail: "its answer cannot be read" });
  }
  if (!reply.ok) throw new Problem(reply.status, answer);
  return answer;
}

// One key until there is an answer: asked again after a broken connection, it gets the stored answer and no second decision.
let pending = { content: null, key: null };

export async function decide(request) {
  const content = JSON.stringify(request);
  if (pending.content !== content) pending = { content, key: randomKey() };
  try {
    const answer = await ask("POST", "/predict", request, { "Idempotency-Key": pending.key });
    pending = { content: null, key: null };
    return answer;
  } catch (problem) {
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 409) pending = { content: null, key: null };
    throw problem;
  }
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
