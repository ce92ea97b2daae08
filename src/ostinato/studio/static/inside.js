// Gradient flow and saturation of a text.
import { complain, element, post, say } from "./ask.js";
import { fields, openFiles, remember, restore } from "./form.js";
import { held, spelled } from "./holds.js";
import { draw } from "./plots.js";
import { offer, settle } from "./series.js";

const ask = document.getElementById("ask");

async function look() {
  const place = document.getElementById("found");
  if (!ask.reportValidity()) return;
  complain(null);
  say("Reading, and following the gradients back ...");
  try {
    const told = await post(`/api/runs/${ask.dataset.run}/inside`, { ...fields(ask), holds: held() });
    const figures = told.sections.map((section, k) => show(section, k));
    place.replaceChildren(...figures.map(([part]) => part));
    for (const [, plot, figure] of figures) await draw(plot, figure);
    offer(ask, told.facts);
    say(`${told.steps.toLocaleString("en")} steps. ${told.cut}`);
    remember(ask, spelled());
  } catch (error) {
    say("");
    place.replaceChildren();
    complain(error);
  }
}

function show(section, k) {
  const heads = section.heads.map((head) => element("th", { scope: "col" }, head));
  const rows = section.rows.map(([name, ...values]) =>
    element("tr", {}, element("th", { scope: "row" }, name),
      ...values.map((value) => element("td", { className: "wrapped" }, value))));
  const plot = element("div", { className: "plot", role: "img", "aria-label": `${section.title}; the table below says it in words` });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
  const scroll = element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": section.title }, table);
  const title = element("h2", { id: `section${k}` }, section.title);
  const note = element("p", { className: "hint" }, section.note);
  return [element("section", { "aria-labelledby": `section${k}` }, title, note, plot, scroll), plot, section.figure];
}

if (ask) {
  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  restore(ask);
  openFiles(ask, look);
  settle(ask, look);
  if (fields(ask).text || ask.dataset.form === "music") look();
}
