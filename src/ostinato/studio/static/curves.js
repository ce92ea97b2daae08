// Learning curves, renewed while runs are written.
import { complain, element, get, say } from "./ask.js";
import { draw, swatches } from "./plots.js";

const EVERY = 2000;
const controls = document.getElementById("controls");
const table = document.querySelector("#runs tbody");
let stamp = "";
let asked = 0;

function wishes() {
  const fields = new URLSearchParams({
    axis: controls.axis.value,
    scale: controls.scale.value,
    smoothing: controls.smoothing.value,
    measures: [...controls.querySelectorAll("[name=measure]:checked")].map((box) => box.value).join(","),
    hidden: [...table.querySelectorAll("input:not(:checked)")].map((box) => box.value).join(","),
  });
  if (stamp) fields.set("since", stamp);
  return fields;
}

function number(value) {
  if (value === null) return "-";
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

function showRuns(runs) {
  const known = [...table.querySelectorAll("[data-run]")].map((row) => row.dataset.run);
  if (runs.length !== known.length || runs.some((run) => !known.includes(run.key))) {
    // a run has come or gone
    location.reload();
    return;
  }
  for (const run of runs) {
    const row = table.querySelector(`[data-run="${CSS.escape(run.key)}"]`);
    for (const name of ["step", "loss", "best", "best_step"]) {
      row.querySelector(`[data-field=${name}]`).textContent = number(run[name]);
    }
    const status = row.querySelector("[data-field=status] span");
    status.textContent = run.status;
    status.className = `status ${run.status}`;
  }
}

function showDiffering(told) {
  const place = document.getElementById("differing");
  place.hidden = told.rows.length === 0;
  document.getElementById("alike").hidden = !place.hidden;
  const heads = told.heads.map((head) => element("th", { scope: "col" }, head));
  place.tHead.replaceChildren(element("tr", {}, ...heads));
  const rows = told.rows.map(([name, ...values]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...values.map((v) => element("td", {}, v))),
  );
  place.tBodies[0].replaceChildren(...rows);
}

function showMeasures(measures) {
  const place = document.getElementById("measures");
  const known = [...place.querySelectorAll("input")].map((box) => box.value);
  for (const [name, words] of Object.entries(measures)) {
    if (known.includes(name)) continue;
    const box = element("input", { type: "checkbox", name: "measure", value: name });
    box.checked = known.length === 0 && name === "loss";
    place.append(element("label", {}, box, ` ${words}`));
  }
}

function report(runs) {
  const running = runs.filter((run) => run.status === "running");
  if (!running.length) return say("");
  say(running.map((run) => `${run.key} runs: step ${number(run.step)}, loss ${number(run.loss)}.`).join(" "));
}

async function renew() {
  const mine = ++asked;
  const told = await get(`/api/curves?${wishes()}`);
  // an answer to an earlier question may come later
  if (mine !== asked) return;
  complain(null);
  if (told.stamp === stamp && !told.figure) return;
  stamp = told.stamp;
  showRuns(told.runs);
  showDiffering(told.differing);
  showMeasures(told.measures);
  await draw(document.getElementById("plot"), told.figure);
  report(told.runs);
}

async function watch() {
  try {
    if (!document.hidden) await renew();
  } catch (error) {
    complain(error);
  }
  setTimeout(watch, EVERY);
}

function changed() {
  controls.querySelector("output").textContent = controls.smoothing.value;
  stamp = "";
  renew().catch(complain);
}

controls.addEventListener("input", changed);
controls.addEventListener("submit", (event) => event.preventDefault());
table.addEventListener("change", changed);
for (const [id, shown] of [["all", true], ["none", false]]) {
  document.getElementById(id).addEventListener("click", () => {
    for (const box of table.querySelectorAll("input")) box.checked = shown;
    changed();
  });
}
swatches();
watch();
