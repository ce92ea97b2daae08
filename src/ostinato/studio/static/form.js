// The form of a page: what it asks, kept in the address, and files that are opened into it.
import { complain, post, say } from "./ask.js";

// what is longer does not go into an address
const LONGEST = 2000;

function controls(form) {
  return [...form.elements].filter((one) => one.name && !one.closest("#holds"));
}

// the fields as the server takes them; what was not touched of a hidden part is left out
export function fields(form) {
  const found = {};
  for (const one of controls(form)) {
    if (one.closest("[hidden]")) {
      // what the address says of a part that is offered later
      if (one.dataset.wanted) found[one.name] = one.dataset.wanted;
      continue;
    }
    found[one.name] = one.type === "checkbox" ? one.checked : one.value;
  }
  return found;
}

function show(one) {
  const output = one.closest("label")?.querySelector("output");
  if (output && !one.dataset.told) output.textContent = one.value;
}

// put into the fields what the address says
export function restore(form) {
  const told = new URLSearchParams(location.search);
  for (const one of controls(form)) {
    if (told.has(one.name)) {
      const value = told.get(one.name);
      if (one.closest("[hidden]")) one.dataset.wanted = value;
      else if (one.type === "checkbox") one.checked = value === "true";
      else one.value = value;
    }
    show(one);
  }
  form.addEventListener("input", (event) => {
    show(event.target);
    // what the form began with is the person's own from now on
    const hint = document.getElementById("made-up");
    if (hint && event.target.name === "text") hint.hidden = true;
  });
  return told;
}

export function remember(form, holds, more = {}) {
  const told = new URLSearchParams();
  const found = fields(form);
  // places in a table mean nothing without it
  if (found.text?.length > LONGEST) for (const name of ["text", "origin", "series"]) delete found[name];
  for (const [name, value] of Object.entries({ ...found, ...more })) {
    if (value !== "") told.set(name, value);
  }
  for (const one of holds) told.append("hold", one);
  history.replaceState(null, "", `?${told}`);
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}

// a vector of several in a file
function offer(form, rows) {
  const part = document.getElementById("rows-part");
  const row = document.getElementById("row");
  part.hidden = rows.length < 2;
  row.max = rows.length;
  row.value = 1;
  document.getElementById("rows-count").textContent = `of ${rows.length}`;
  form.text.value = rows[0];
  row.oninput = () => {
    form.text.value = rows[Math.min(rows.length, Math.max(1, Number(row.value))) - 1];
  };
}

// a file is read by the server, as the command would read it
export function openFiles(form, then) {
  const input = document.getElementById("file");
  input?.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    complain(null);
    say(`Opening ${file.name} ...`);
    try {
      const told = await post(`/api/runs/${form.dataset.run}/open`, { name: file.name, content: await base64(file) });
      if (told.rows) offer(form, told.rows);
      else form.text.value = told.text;
      form.text.dispatchEvent(new Event("input", { bubbles: true }));
      say(`${file.name} is open.`);
      then();
    } catch (error) {
      say("");
      complain(error);
    }
  });
}
