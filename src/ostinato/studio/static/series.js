// Where a forecast begins: a row of one of the table's series.
import { element } from "./ask.js";

const by = (id) => document.getElementById(id);

// what the table offers, once it has been read
export function offer(form, facts) {
  if (!by("origin-part")) return;
  const { series, chosen, origins, origin, begins } = facts;
  by("series-part").hidden = series.length < 2;
  form.series.replaceChildren(...series.map((name) => element("option", { value: name }, name || "the only one")));
  form.series.value = chosen;
  by("origin-part").hidden = false;
  [form.origin.min, form.origin.max] = origins;
  form.origin.value = origin;
  form.origin.dataset.told = "yes";
  form.origin.setAttribute("aria-valuetext", begins);
  by("origin-part").querySelector("output").textContent = `${origin}: ${begins}`;
}

// another table or series: the forecast begins at its end again
export function settle(form, then) {
  if (!by("origin-part")) return;
  const anew = () => {
    by("origin-part").hidden = true;
    delete form.origin.dataset.wanted;
  };
  form.text.addEventListener("input", () => {
    anew();
    by("series-part").hidden = true;
    delete form.series.dataset.wanted;
  });
  form.series.addEventListener("change", () => {
    anew();
    then();
  });
  form.origin.addEventListener("change", then);
}
