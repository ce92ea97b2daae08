// What a model says to all of its input: texts, other hypotheses, drawings.
import { element } from "./ask.js";
import { draw } from "./plots.js";
import { player } from "./music.js";

const words = (text) => text.split(/(\s+)/);

// a text, in which what the other does not have at the same place is underlined
function text(title, said, other) {
  const theirs = other === undefined ? null : words(other);
  const parts = words(said).map((word, k) =>
    element("span", theirs && word !== theirs[k] && word.trim() ? { className: "other" } : {}, word));
  return element("section", {}, element("h3", {}, title),
    element("p", { className: "coloured" }, ...(said ? parts : [element("em", {}, "nothing")])));
}

function table(heads, rows, label) {
  const head = element("tr", {}, ...heads.map((one, k) => element("th", { scope: "col", className: k ? "n" : "" }, one)));
  const body = rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row", className: "wrapped" }, first),
    ...rest.map((value) => element("td", { className: "n" }, value))));
  return element("div", { className: "scroll few", tabIndex: 0, role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function others(row, title) {
  const rows = row.facts.others.map(([said, log, score]) => [said || "nothing", log.toFixed(3), score.toFixed(3)]);
  return element("details", {}, element("summary", {}, title), table(["text", "log probability", "score"], rows, title));
}

function texts({ plain, held }) {
  const columns = element("div", { className: "columns" }, text("As it is", plain.facts.text, held?.facts.text));
  if (held) columns.append(text("With units held", held.facts.text, plain.facts.text));
  const made = [columns, others(plain, "What else was followed, best first")];
  if (held) made.push(others(held, "The same with units held"));
  return made;
}

function forecast({ plain, held }) {
  const { facts } = plain;
  const names = facts.targets;
  const heads = ["time", ...names, ...(held ? names.map((name) => `${name}, units held`) : [])];
  const rows = facts.rows.map((row, k) => [...row, ...(held ? held.facts.rows[k].slice(1) : [])]);
  return [element("details", {}, element("summary", {}, "The forecast as a table"), table(heads, rows, "The forecast"))];
}

function lines({ plain, held }) {
  const list = (row) => element("ul", {}, ...row.whole.map((line) => element("li", {}, line)));
  if (!held) return [list(plain)];
  return [element("div", { className: "columns" },
    element("section", {}, element("h3", {}, "As it is"), list(plain)),
    element("section", {}, element("h3", {}, "With units held"), list(held)))];
}

function notes({ plain }) {
  const told = [...plain.notes, ...(plain.facts.note ? [plain.facts.note] : [])];
  return told.map((note) => element("p", { className: "hint" }, note));
}

const FORMS = { line: texts, vector: texts, series: forecast };

export async function show(form, reading) {
  const place = document.getElementById("result");
  const own = (FORMS[form.dataset.form] ?? lines)(reading);
  if (form.dataset.form === "music") own.push(...player(form, reading));
  const drawn = reading.figures.map(({ title, words: told, figure }) => {
    const plot = element("div", { className: "plot low", role: "img", "aria-label": `${title}. ${told}` });
    return [element("section", {}, element("h3", {}, title), element("p", { className: "hint" }, told), plot), plot, figure];
  });
  place.replaceChildren(...notes(reading), ...(form.dataset.form === "series" ? [] : own),
    ...drawn.map(([section]) => section), ...(form.dataset.form === "series" ? own : []));
  document.getElementById("result-part").hidden = !place.children.length;
  for (const [, plot, figure] of drawn) await draw(plot, figure);
}
