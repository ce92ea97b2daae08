// Drawing with plotly.js in the colours of the page.
/* global Plotly */

const drawn = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), line: of("--line"), panel: of("--panel"), page: of("--page") };
}

// shown as it is, and not as a tag of plotly's own
export function literal(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// black would not be seen on black
function seen(colour) {
  return document.documentElement.dataset.theme === "dark" && colour === "#000000" ? "#ffffff" : colour;
}

function themed(layout) {
  const { ink, line, panel } = colours();
  const made = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 13 },
    hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: ink } },
    margin: { l: 60, r: 16, t: 30, b: 48 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink },
    ...layout,
  };
  for (const key of Object.keys(made)) {
    if (/^[xy]axis/.test(key)) {
      made[key] = { gridcolor: line, linecolor: line, zerolinecolor: line, ...made[key] };
      for (const [name, value] of Object.entries(made[key])) if (value === null) delete made[key][name];
    }
  }
  return made;
}

// no more labels than there is room for
function thinned(axis, width) {
  if (!axis?.ticktext) return axis;
  const room = Math.max(1, Math.floor((width - 130) / (axis.tickangle ? 16 : 14)));
  const every = Math.ceil(axis.ticktext.length / room);
  const kept = (_, k) => k % every === 0;
  return { ...axis, tickvals: axis.tickvals.filter(kept), ticktext: axis.ticktext.filter(kept) };
}

export function draw(place, figure) {
  drawn.set(place, figure);
  const { page } = colours();
  const data = figure.data.map((trace) => {
    const made = { ...trace };
    if (made.line?.color) made.line = { ...made.line, color: seen(made.line.color) };
    if (Array.isArray(made.colorscale)) made.colorscale = made.colorscale.map(([at, c]) => [at, c === "#ffffff" ? page : c]);
    if (made.marker?.color) made.marker = { ...made.marker, color: seen(made.marker.color) };
    return made;
  });
  return Plotly.react(place, data, themed({ ...figure.layout, xaxis: thinned(figure.layout.xaxis, place.clientWidth) }), {
    responsive: true,
    displaylogo: false,
    displayModeBar: place.clientWidth > 600 ? "hover" : false,
    modeBarButtonsToRemove: ["lasso2d", "select2d"],
  });
}

export function swatches() {
  const colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"];
  for (const swatch of document.querySelectorAll(".swatch")) {
    swatch.style.background = seen(colours[swatch.dataset.place % colours.length]);
  }
}

document.addEventListener("theme", () => {
  for (const [place, figure] of drawn) draw(place, figure);
  swatches();
});
