// What a model makes of what it is given: its answers step by step, and its units.
import { bar, complain, element, level, percent, post, say, token } from "./ask.js";
import { fields, openFiles, remember, restore } from "./form.js";
import { add, held, spelled } from "./holds.js";
import { draw, literal } from "./plots.js";
import { show as showResult } from "./result.js";
import { offer, settle } from "./series.js";

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
  let wanted = restore(ask);

  // what is looked at

  const fill = (select, pairs, chosen) => {
    select.replaceChildren(...pairs.map(([value, words]) => element("option", { value }, words)));
    select.value = chosen;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  };

  const here = () => {
    const [layer, direction] = look.layer.value.split("/");
    return { layer, direction: Number(direction), name: look.name.value, unit: Number(look.unit.value) };
  };

  const row = () => reading[look.row.value] ?? reading.plain;
  const partOf = ({ layer, direction, name }) =>
    reading.parts.find((p) => p.layer === layer && p.direction === direction && p.name === name);
  const axis = () => row().axes[partOf(here()).axis];
  const answered = () => partOf(here()).axis === 0 && row().answers.length > 0;

  const nameChoices = (chosen) => {
    const { layer, direction } = here();
    const parts = reading.parts.filter((p) => p.layer === layer && p.direction === direction);
    const words = { state: "state", gate: "gate", pre: "before its gate", value: "value", output: "output" };
    fill(look.name, parts.map((p) => [p.name, `${p.name} (${words[p.kind] ?? p.kind})`]), chosen);
    const most = partOf(here()).units - 1;
    look.unit.max = most;
    if (Number(look.unit.value) > most) look.unit.value = 0;
    by("hold-this").hidden = partOf(here()).kind !== "state";
  };

  const choices = (chosen) => {
    const layers = new Map(reading.parts.map((p) => [`${p.layer}/${p.direction}`, p.words]));
    fill(look.layer, [...layers], `${chosen.layer}/${chosen.direction}`);
    nameChoices(chosen.name);
    by("row-part").hidden = !reading.held;
    if (!reading.held) look.row.value = "plain";
  };

  // the steps

  const showText = () => {
    const { pieces, tokens } = axis();
    const spans = pieces.map((piece, k) =>
      token(piece, { className: `t l${level(unit.values[k], unit.scale)}`, "data-step": k,
        title: `${k}: ${tokens[k]} ${unit.values[k]}` }));
    by("coloured").replaceChildren(...spans);
    by("range").textContent = `Unit ${unit.unit} of ${unit.name}, ${partOf(unit).words}: ` +
      `from ${unit.low} to ${unit.high}, mean ${unit.mean}.`;
  };

  const showTable = () => {
    const on = answered();
    const rows = axis().tokens.map((label, k) => element("tr", {},
      element("td", { className: "n" }, String(k)), element("td", {}, label),
      element("td", { className: "n" }, String(unit.values[k])),
      element("td", {}, on ? row().answers[k].slice(0, 3).map(([a, p]) => `${a} ${percent(p)}`).join(", ") : "-"),
      element("td", { className: "n" }, (on && row().surprise?.[k]?.toFixed(2)) || "-")));
    by("values").tBodies[0].replaceChildren(...rows);
  };

  const showAnswers = (k) => {
    by("answers").hidden = !answered();
    by("answers").classList.toggle("both", Boolean(reading.held));
    if (!answered()) return;
    const plain = new Map(reading.plain.answers[k] ?? []);
    const other = new Map(reading.held?.answers[k] ?? []);
    by("question").textContent = reading.plain.question;
    by("answers").tBodies[0].replaceChildren(...[...new Set([...plain.keys(), ...other.keys()])].map((label) =>
      element("tr", {}, element("th", { scope: "row" }, label),
        element("td", { className: "n" }, percent(plain.get(label))), bar(plain.get(label) ?? 0),
        element("td", { className: "n held" }, percent(other.get(label))),
        Object.assign(bar(other.get(label) ?? 0), { className: "bar held" }))));
  };

  const showStep = () => {
    const k = Number(by("step").value);
    for (const span of by("coloured").querySelectorAll(".now")) span.classList.remove("now");
    const now = by("coloured").children[k];
    now?.classList.add("now");
    const surprise = answered() ? row().surprise?.[k] : null;
    const before = surprise === null || surprise === undefined ? "" :
      ` It had a probability of ${percent(Math.exp(-surprise))} (${surprise.toFixed(2)} nats).`;
    const looks = partOf(here()).axis === 0 ? row().looks[k] : null;
    const looked = looks ? ` Attention was on ${looks.map(([label, p]) => `${label} ${percent(p)}`).join(", ")}.` : "";
    by("step").setAttribute("aria-valuetext", `${k}, ${axis().tokens[k]}`);
    by("where").textContent = `After ${k}: ${axis().tokens[k]}, the unit is at ${unit.values[k]}.${before}${looked}`;
    showAnswers(k);
  };

  const steps = (at) => {
    const last = axis().tokens.length - 1;
    by("step").max = last;
    by("step").value = Math.min(at ?? last, last);
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
    const mine = ++asked;
    redraw ||= figure;
    const of = { ...here(), held: look.row.value === "held" };
    const told = await post(`${root}/view`, { ...reading.asked, ...of, figure: redraw });
    // an answer to an earlier question may come later
    if (mine !== asked) return;
    redraw = false;
    unit = told;
    complain(null);
    steps(Number(by("step").value));
    showText();
    showTable();
    showStep();
    remember(ask, spelled(), { ...here(), row: look.row.value });
    if (unit.figure) {
      lively(unit.lively);
      const heat = unit.figure.data[0];
      heat.customdata = heat.y.map(() => axis().tokens.map(literal));
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

  const before = () => {
    const told = wanted;
    wanted = new URLSearchParams();
    if (!told.has("layer")) return reading && unit ? here() : null;
    look.row.value = told.get("row") ?? "plain";
    look.unit.value = told.get("unit") ?? 0;
    return { layer: told.get("layer"), direction: told.get("direction") ?? 0, name: told.get("name") };
  };

  async function readText() {
    stop();
    if (!ask.reportValidity()) return;
    complain(null);
    say("Reading ...");
    const mine = ++asked;
    const request = { ...fields(ask), holds: held() };
    try {
      const told = await post(`${root}/read`, request);
      if (mine !== asked) return;
      const kept = before();
      reading = { ...told, asked: request };
      choices(kept ?? told.chosen);
      by("step").value = by("step").max = Number.MAX_SAFE_INTEGER;
      by("found").hidden = false;
      offer(ask, told.plain.facts);
      steps();
      await showResult(ask, reading);
      await showUnit(true);
      const { length } = told.plain.axes[0].tokens;
      say(`${length.toLocaleString("en")} ${told.plain.axes[0].name}. ${told.plain.cut}`);
    } catch (error) {
      // of a question that another one has overtaken nothing is said
      if (mine !== asked && !reading) return;
      say("");
      by("found").hidden = true;
      complain(error);
    }
  }

  // walking along the steps

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
  look.row.addEventListener("change", () => showUnit(true).catch(complain));
  look.layer.addEventListener("change", () => {
    nameChoices(look.name.value);
    showUnit(true).catch(complain);
  });
  look.name.addEventListener("change", () => {
    nameChoices(look.name.value);
    showUnit(true).catch(complain);
  });
  look.unit.addEventListener("change", () => showUnit(false).catch(complain));
  by("hold-this").addEventListener("click", () => add(here(), unit.values[Number(by("step").value)]));
  by("step").addEventListener("input", showStep);
  by("before").addEventListener("click", () => go(Number(by("step").value) - 1));
  by("after").addEventListener("click", () => go(Number(by("step").value) + 1));
  by("play").addEventListener("click", play);
  by("coloured").addEventListener("click", (event) => {
    const span = event.target.closest("[data-step]");
    if (span) go(Number(span.dataset.step));
  });
  openFiles(ask, readText);
  settle(ask, readText);
  if (fields(ask).text || ask.dataset.form === "music") readText();
}
