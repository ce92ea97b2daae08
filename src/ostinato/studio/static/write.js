// A text that is continued token by token, and beside it the same with units held.
import { bar, complain, element, events, level, percent, say, token } from "./ask.js";
import { remember, restore } from "./form.js";
import { held, spelled } from "./holds.js";

const ask = document.getElementById("ask");
const by = (id) => document.getElementById(id);

if (ask) {
  const states = JSON.parse(document.getElementById("holds").dataset.states);
  const texts = { plain: by("plain"), held: by("held") };
  let told = [];
  let stopping = null;
  let scale = 1;
  const range = { low: Infinity, high: -Infinity };

  const optional = (input) => (input.value === "" ? null : Number(input.value));
  const unit = () => {
    const { layer, direction, name } = states[Number(ask.state.value)];
    return { layer, direction, name, unit: Number(ask.unit.value) };
  };

  const wish = (before) => ({
    prompt: ask.prompt.value,
    written: before.map((event) => event.plain?.token).filter((t) => t !== undefined),
    written_held: before.some((event) => event.held)
      ? before.map((event) => event.held?.token).filter((t) => t !== undefined) : null,
    temperature: Number(ask.temperature.value),
    top_k: optional(ask.top_k),
    top_p: optional(ask.top_p),
    repetition_penalty: optional(ask.repetition_penalty) ?? 1,
    seed: optional(ask.seed) ?? 0,
    length: optional(ask.length) ?? 200,
    holds: held(),
    hold_prompt: ask.hold_prompt.checked,
    watch: [unit()],
  });

  // showing

  const begin = () => {
    told = [];
    Object.assign(range, { low: Infinity, high: -Infinity });
    by("texts").hidden = false;
    for (const place of Object.values(texts)) place.replaceChildren(token(ask.prompt.value, { className: "given" }));
  };

  const showLast = (event) => {
    by("last-part").hidden = false;
    by("answers").classList.toggle("both", Boolean(event.held));
    const plain = new Map(event.plain?.top ?? []);
    const held = new Map(event.held?.top ?? []);
    const least = (map) => (map.size ? 0 : null);
    const rows = [...new Set([...plain.keys(), ...held.keys()])].map((label) => element("tr", {},
      element("th", { scope: "row" }, label),
      element("td", { className: "n" }, percent(plain.get(label) ?? least(plain))), bar(plain.get(label) ?? 0),
      element("td", { className: "n held" }, percent(held.get(label) ?? least(held))),
      Object.assign(bar(held.get(label) ?? 0), { className: "bar held" })));
    by("answers").tBodies[0].replaceChildren(...rows);
    const other = event.held ? `, with units held ${event.held.label}` : "";
    by("where").textContent = `For token ${event.at}, which became ${event.plain?.label ?? "the end"}${other}:`;
  };

  // what the unit does when it is free tells which values are much or little
  const showRange = (value) => {
    range.low = Math.min(range.low, value);
    range.high = Math.max(range.high, value);
    scale = Math.max(Math.abs(range.low), Math.abs(range.high));
    by("range").textContent =
      `While the text was written, the unit was between ${range.low.toFixed(3)} and ${range.high.toFixed(3)}.`;
  };

  const recolour = () => {
    for (const span of texts.plain.querySelectorAll("[data-at]")) {
      span.className = span.className.replace(/\bl-?\d+\b/, `l${level(told[span.dataset.at].plain.value, scale)}`);
    }
  };

  const add = (event) => {
    told.push(event);
    if (event.plain) showRange(event.plain.value);
    for (const [name, place] of Object.entries(texts)) {
      const row = event[name];
      if (!row) continue;
      const other = event[name === "plain" ? "held" : "plain"];
      const parts = other !== undefined && other?.token !== row.token;
      const colour = name === "plain" ? level(row.value, scale) : 0;
      const span = token(row.text, { className: `t l${colour}${parts ? " other" : ""}`, "data-at": told.length - 1,
        title: `${event.at}: ${row.label} ${percent(row.p)}, unit at ${row.value.toFixed(3)}` });
      place.append(span);
    }
    showLast(event);
  };

  // asking

  async function write(on) {
    if (!ask.reportValidity()) return;
    stopping?.abort();
    const mine = (stopping = new AbortController());
    const before = on ? told : [];
    const wanted = wish(before);
    complain(null);
    remember(ask, spelled());
    say("Writing ...");
    by("stop").disabled = false;
    by("on").disabled = true;
    let last = null;
    let begun = on;
    try {
      for await (const event of events(`/api/runs/${ask.dataset.run}/write`, wanted, mine.signal)) {
        if (!begun) begin();
        begun = true;
        by("held-part").hidden = !wanted.holds.length && !told.some((each) => each.held);
        if ("end" in event) last = event;
        else add(event);
      }
      recolour();
      say(ended(last, wanted));
    } catch (error) {
      if (mine.signal.aborted) say(`Stopped after ${told.length} tokens.`);
      else {
        say("");
        complain(error);
      }
    }
    if (stopping === mine) {
      by("stop").disabled = true;
      by("on").disabled = told.length === 0;
    }
  }

  const ended = (last, wanted) => {
    const first = told.findIndex((event) => event.held && event.plain?.token !== event.held.token);
    const parted = !wanted.holds.length ? "" : first < 0
      ? " Holding them changed no token." : ` With units held, the text parts at token ${told[first].at}.`;
    return `${told.length} tokens.${last?.end === "length" ? "" : " The model ended the text."}${parted}`;
  };

  restore(ask);
  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    write(false);
  });
  by("on").addEventListener("click", () => write(true));
  by("stop").addEventListener("click", () => stopping?.abort());
  ask.addEventListener("input", (event) => {
    ask.unit.max = states[Number(ask.state.value)].units - 1;
    // another prompt is another text
    if (event.target.name === "prompt") by("on").disabled = true;
  });
  by("texts").addEventListener("click", (event) => {
    const span = event.target.closest("[data-at]");
    if (span) showLast(told[Number(span.dataset.at)]);
  });
}
