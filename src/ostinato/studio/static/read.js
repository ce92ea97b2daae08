// A text as a model reads it: its answers step by step, and its units.
import { bar, complain, element, level, percent, post, say, token } from "./ask.js";
import { draw } from "./plots.js";

const ask = document.getElementById("ask");
const by = (id) => document.getElementById(id);

if (ask) {
  const look = by("look");
  const root = `/api/runs/${ask.dataset.run}`;
  let reading = null;
  let unit = null;
  let playing = null;
  let asked = 0;
  // a heat map was asked for, and overtaken by another question
  let redraw = false;

  // what is looked at

  const fill = (select, pairs, chosen) => {
    select.replaceChildren(...pairs.map(([value, words]) => element("option", { value }, words)));
    select.value = chosen;
  };

  const here = () => {
    const [layer, direction] = look.layer.value.split("/").map(Number);
    return { layer, direction, name: look.name.value, unit: Number(look.unit.value) };
  };

  const nameChoices = (chosen) => {
    const { layer, direction } = here();
    const parts = reading.parts.filter((p) => p.layer === layer && p.direction === direction);
    const words = { state: "state", gate: "gate", pre: "before its gate", value: "value", output: "output" };
    fill(look.name, parts.map((p) => [p.name, `${p.name} (${words[p.kind] ?? p.kind})`]),
      parts.some((p) => p.name === chosen) ? chosen : parts[0].name);
  };

  const choices = (chosen) => {
    const layers = new Map();
    for (const p of reading.parts) {
      const both = reading.parts.some((q) => q.direction === 1);
      const side = both ? (p.direction ? ", from the end" : ", from the start") : "";
      layers.set(`${p.layer}/${p.direction}`, `${p.layer}${side}`);
    }
    fill(look.layer, [...layers], `${chosen.layer}/${chosen.direction}`);
    nameChoices(chosen.name);
  };

  // the text

  const showText = () => {
    const spans = reading.pieces.map((piece, k) =>
      token(piece, { className: `t l${level(unit.values[k], unit.scale)}`, "data-step": k,
        title: `${k}: ${reading.tokens[k]} ${unit.values[k]}` }));
    by("coloured").replaceChildren(...spans);
    by("range").textContent = `Unit ${unit.unit} of ${unit.name}, layer ${unit.layer}: ` +
      `from ${unit.low} to ${unit.high}, mean ${unit.mean}.`;
  };

  const showTable = () => {
    const rows = reading.tokens.map((label, k) => element("tr", {},
      element("td", { className: "n" }, String(k)), element("td", {}, label),
      element("td", { className: "n" }, String(unit.values[k])),
      element("td", {}, reading.answers[k].slice(0, 3).map(([a, p]) => `${a} ${percent(p)}`).join(", ")),
      element("td", { className: "n" }, reading.surprise?.[k]?.toFixed(2) ?? "-")));
    by("values").tBodies[0].replaceChildren(...rows);
  };

  const showStep = () => {
    const k = Number(by("step").value);
    for (const span of by("coloured").querySelectorAll(".now")) span.classList.remove("now");
    by("coloured").children[k]?.classList.add("now");
    const surprise = reading.surprise?.[k];
    const before = surprise === null || surprise === undefined ? "" :
      ` It had a probability of ${percent(Math.exp(-surprise))} (${surprise.toFixed(2)} nats).`;
    by("step").setAttribute("aria-valuetext", `${k}, ${reading.tokens[k]}`);
    by("where").textContent = `After ${k}: ${reading.tokens[k]}, the unit is at ${unit.values[k]}.${before}`;
    by("question").textContent = reading.question;
    by("answers").tBodies[0].replaceChildren(...reading.answers[k].map(([label, p]) =>
      element("tr", {}, element("th", { scope: "row" }, label), element("td", { className: "n" }, percent(p)), bar(p))));
  };

  const address = () => {
    const fields = new URLSearchParams({ text: reading.text });
    for (const [name, value] of Object.entries(here())) fields.set(name, value);
    history.replaceState(null, "", `?${fields}`);
  };

  const lively = (units) => {
    const buttons = units.map((k) => {
      const button = element("button", { type: "button", className: "small" }, String(k));
      button.addEventListener("click", () => {
        look.unit.value = k;
        showUnit(false).catch(complain);
      });
      return button;
    });
    by("lively").replaceChildren("Those that change most: ", ...buttons);
  };

  // asking

  async function showUnit(figure) {
    const wanted = here();
    const mine = ++asked;
    redraw ||= figure;
    const told = await post(`${root}/view`, { text: reading.text, ...wanted, figure: redraw });
    // an answer to an earlier question may come later
    if (mine !== asked) return;
    redraw = false;
    unit = told;
    complain(null);
    look.unit.max = unit.units - 1;
    showText();
    showTable();
    showStep();
    address();
    if (unit.figure) {
      lively(unit.lively);
      const heat = unit.figure.data[0];
      heat.customdata = heat.y.map(() => reading.tokens);
      by("thinned").textContent = unit.figure.every > 1
        ? `Each ${unit.figure.every}th unit is drawn, for speed; any can be chosen above.` : "";
      await draw(by("heat"), unit.figure);
      by("heat").removeAllListeners("plotly_click");
      by("heat").on("plotly_click", ({ points: [point] }) => {
        look.unit.value = point.y;
        by("step").value = point.x;
        showUnit(false).catch(complain);
      });
    }
  }

  async function readText() {
    stop();
    say("Reading ...");
    const mine = ++asked;
    const text = ask.text.value;
    try {
      const told = await post(`${root}/read`, { text });
      if (mine !== asked) return;
      reading = { ...told, text };
      const before = new URLSearchParams(location.search);
      choices(before.has("layer") ? Object.fromEntries([...before].map(([k, v]) =>
        [k, k === "name" ? v : Number(v)])) : told.chosen);
      if (before.has("unit")) look.unit.value = before.get("unit");
      const part = reading.parts.find((p) => p.name === here().name && p.layer === here().layer);
      if (Number(look.unit.value) >= part.units) look.unit.value = 0;
      by("step").max = reading.tokens.length - 1;
      by("step").value = reading.tokens.length - 1;
      by("found").hidden = false;
      await showUnit(true);
      say(`${reading.tokens.length.toLocaleString("en")} tokens read. ${reading.cut}`);
    } catch (error) {
      say("");
      by("found").hidden = true;
      complain(error);
    }
  }

  // walking along the text

  const go = (k) => {
    by("step").value = k;
    showStep();
  };

  const stop = () => {
    clearInterval(playing);
    playing = null;
    by("play").textContent = "Play";
    by("play").setAttribute("aria-pressed", "false");
  };

  const play = () => {
    if (playing) return stop();
    if (by("step").value === by("step").max) go(0);
    by("play").textContent = "Pause";
    by("play").setAttribute("aria-pressed", "true");
    playing = setInterval(() => {
      if (by("step").value === by("step").max) return stop();
      go(Number(by("step").value) + 1);
    }, 350);
  };

  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    readText();
  });
  look.addEventListener("submit", (event) => event.preventDefault());
  look.layer.addEventListener("change", () => {
    nameChoices(look.name.value);
    showUnit(true).catch(complain);
  });
  look.name.addEventListener("change", () => showUnit(true).catch(complain));
  look.unit.addEventListener("change", () => showUnit(false).catch(complain));
  by("step").addEventListener("input", showStep);
  by("before").addEventListener("click", () => go(Number(by("step").value) - 1));
  by("after").addEventListener("click", () => go(Number(by("step").value) + 1));
  by("play").addEventListener("click", play);
  by("coloured").addEventListener("click", (event) => {
    const span = event.target.closest("[data-step]");
    if (span) go(Number(span.dataset.step));
  });
  readText();
}
