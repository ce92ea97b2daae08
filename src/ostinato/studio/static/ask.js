// Asking the server, and saying what it said.

export class Refused extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // no JSON: the status has to do
  }
  throw new Refused(message);
}

export async function get(address) {
  return (await checked(await fetch(address))).json();
}

function send(address, fields, signal) {
  return fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
    signal,
  });
}

export async function post(address, fields, signal) {
  return (await checked(await send(address, fields, signal))).json();
}

// the events of a stream, one after the other
export async function* events(address, fields, signal) {
  const response = await checked(await send(address, fields, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    const parts = waiting.split("\n\n");
    waiting = parts.pop();
    for (const part of parts) yield JSON.parse(part.replace(/^data: /, ""));
  }
}

export function say(text) {
  document.getElementById("said").textContent = text;
}

export function complain(error) {
  const place = document.getElementById("problem");
  const gone = error instanceof TypeError;
  const text = gone ? "The studio does not answer. Is it still running in its terminal?" : error?.message;
  if (!place) return say(text ?? "");
  place.hidden = !error;
  place.textContent = error ? text : "";
}

export function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(fields)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// a row of answers with its bar
export function bar(p) {
  const made = element("td", { className: "bar" });
  const inner = element("span");
  inner.style.width = `${Math.max(0, Math.min(1, p)) * 100}%`;
  made.append(inner);
  return made;
}

export function percent(p) {
  if (p === undefined || p === null) return "-";
  return p >= 0.9995 ? "100 %" : p >= 0.0005 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";
}

// -10..10: how far a value is from 0, of what counts as all the way
export function level(value, scale) {
  return Math.max(-10, Math.min(10, Math.round((10 * value) / (scale || 1))));
}

// a token of a text; a line end is seen, and is one
export function token(piece, fields = {}) {
  const shown = piece.replace(/\n/g, "⏎\n");
  return element("span", fields, shown === "" ? "\u200b" : shown);
}
