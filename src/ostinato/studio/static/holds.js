// Units that are held: a list of them, kept in the address.
import { element } from "./ask.js";

const part = document.getElementById("holds");
const list = document.getElementById("held-units");
const states = part ? JSON.parse(part.dataset.states) : [];
const same = (a, b) => a.layer === b.layer && a.direction === b.direction && a.name === b.name;

function number(label, value, fields) {
  const input = element("input", { type: "number", ...fields });
  input.value = value;
  return [element("label", {}, `${label} `, input), input];
}

function renumber() {
  [...list.children].forEach((item, k) => {
    item.setAttribute("aria-label", `Held unit ${k + 1}`);
    item.querySelector("button").setAttribute("aria-label", `Do not hold unit ${k + 1} of the list`);
  });
  document.getElementById("no-holds").hidden = !list.children.length;
}

function remove(item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  renumber();
  // the keyboard stays where it was
  (next?.querySelector("button") ?? document.getElementById("add-hold")).focus();
}

export function add(unit, value, focus = true) {
  const place = Math.max(0, states.findIndex((state) => same(state, unit)));
  const select = element("select", {}, ...states.map((state, k) => element("option", { value: String(k) }, state.words)));
  select.value = String(place);
  const [unitLabel, unitInput] = number("Unit", unit.unit, { min: 0, max: states[place].units - 1, required: true });
  const [valueLabel, valueInput] = number("at", value, { step: "any", required: true });
  const button = element("button", { type: "button", className: "small" }, "Remove");
  const item = element("li", {}, element("label", {}, "State ", select), unitLabel, valueLabel, button);
  select.addEventListener("change", () => { unitInput.max = states[Number(select.value)].units - 1; });
  button.addEventListener("click", () => remove(item));
  list.append(item);
  renumber();
  if (focus) unitInput.focus();
}

// as the server takes them
export function held() {
  return [...list.children].map((item) => {
    const { layer, direction, name } = states[Number(item.querySelector("select").value)];
    const [unit, value] = [...item.querySelectorAll("input")].map((input) => Number(input.value));
    return { layer, direction, name, unit, value };
  });
}

// as the address has them
export function spelled() {
  return held().map((one) => [one.layer, one.direction, one.name, one.unit, one.value].join("/"));
}

function restore() {
  for (const told of new URLSearchParams(location.search).getAll("hold")) {
    const [layer, direction, name, unit, value] = told.split("/");
    const state = { layer, direction: Number(direction), name };
    if (states.some((one) => same(one, state))) add({ ...state, unit: Number(unit) || 0 }, Number(value) || 0, false);
  }
}

if (part) {
  document.getElementById("add-hold").addEventListener("click", () => add({ ...states[0], unit: 0 }, 1));
  document.getElementById("no-holds").addEventListener("click", () => {
    list.replaceChildren();
    renumber();
    document.getElementById("add-hold").focus();
  });
  restore();
}
