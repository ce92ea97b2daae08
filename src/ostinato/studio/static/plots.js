// Drawing with plotly.js in the colours of the page.
/* global Plotly */

const drawn = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), line: of("--line"), panel: of("--panel") };
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
    margin: { l: 60, r: 16, t: 12, b: 48 },
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

export function draw(place, figure) {
  drawn.set(place, figure);
  const data = figure.data.map((trace) => {
    const made = { ...trace };
    if (made.line?.color) made.line = { ...made.line, color: seen(made.line.color) };
    if (made.marker?.color) made.marker = { ...made.marker, color: seen(made.marker.color) };
    return made;
  });
  return Plotly.react(place, data, themed(figure.layout), {
    responsive: true,
    displaylogo: false,
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
