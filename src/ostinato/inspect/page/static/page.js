"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const NS = "http://www.w3.org/2000/svg";
  const now = { track: 0, unit: 0, step: 0, from: null, to: null, hits: [] };

  // small tools

  const make = (tag, words, attributes) => {
    const element = document.createElement(tag);
    if (words !== undefined && words !== null) element.textContent = words;
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    return element;
  };
  const draw = (tag, attributes, words) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (words !== undefined) element.textContent = words;
    return element;
  };
  const number = (value) => (value === null ? "not finite" : Number(value).toPrecision(3));
  const percent = (p) => (p === null ? "" : p >= 0.9995 || (p >= 0.0995 && p < 0.985) ? `${Math.round(100 * p)} %`
    : p >= 0.985 ? `${(100 * p).toFixed(1)} %` : p >= 5e-5 ? `${(100 * p).toPrecision(2)} %` : "< 0.01 %");
  const seen = (label) => label.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥") || "∅";
  const fill = (select, options) => select.replaceChildren(
    ...options.map(([value, words]) => make("option", words, { value })));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // values

  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const track = () => D.tracks[now.track];
  const axis = () => D.axes[track().axis];
  const steps = () => axis().labels.length;
  const raw = (one) => (one.bytes ??= bytes(one.data));
  const level = (one, byte) => (byte === 255 ? NaN : one.low + (byte * (one.high - one.low)) / 254);
  const value = (one, t, u) => level(one, raw(one)[t * one.units.length + u]);
  // size beside the largest that can be, with its sign
  const share = (one, v) => v / Math.max(Math.abs(one.low), Math.abs(one.high));
  // of one unit, where colours are to reach as far as it does
  const reaches = (one) => {
    if (one.reaches) return one.reaches;
    const width = one.units.length, data = raw(one);
    one.reaches = new Float64Array(width);
    data.forEach((byte, k) => {
      if (byte !== 255) one.reaches[k % width] = Math.max(one.reaches[k % width], Math.abs(share(one, level(one, byte))));
    });
    return one.reaches;
  };
  const reach = (one, u) => ($("scale").value === "own" ? reaches(one)[u] || 1 : 1);
  const tint = (s) => (Number.isNaN(s) ? "transparent"
    : `rgba(var(${s < 0 ? "--low" : "--high"}), ${(0.78 * Math.min(Math.abs(s), 1)).toFixed(3)})`);
  const spreads = (one) => {
    if (one.spreads) return one.spreads;
    const width = one.units.length, data = raw(one), count = data.length / width;
    const sums = new Float64Array(width), squares = new Float64Array(width);
    for (let k = 0, u = 0; k < data.length; k++) {
      sums[u] += data[k];
      squares[u] += data[k] * data[k];
      if (++u === width) u = 0;
    }
    one.spreads = Array.from(sums, (sum, u) => squares[u] / count - (sum / count) ** 2);
    return one.spreads;
  };
  const varies = (one) => spreads(one).reduce((best, s, u, all) => (s > all[best] ? u : best), 0);

  // the text

  let spans = [], shownAxis = -1;
  const roomIn = (id, less = 0) => Math.max(300, $(id).clientWidth - less);
  function layText() {
    if (shownAxis === track().axis) return;
    shownAxis = track().axis;
    const { labels, joint, chart } = axis();
    const parts = [];
    if (chart) {
      // numbers are read as a line, with a strip behind it for each step
      const plot = drawChart(chart, roomIn("tokens", 14), 300);
      spans = labels.map((_, t) => plot.strip(t));
      parts.push(plot.picture, keyOf(chart));
    } else {
      spans = labels.map((label, t) => {
        const words = label === "\n" ? "⏎\n" : label === "" ? "∅" : label;
        const span = make("span", words);
        span.dataset.t = t;
        parts.push(span);
        if (joint && t + 1 < labels.length) parts.push(document.createTextNode(joint));
        return span;
      });
    }
    $("tokens").classList.toggle("plotted", Boolean(chart));
    $("tokens").replaceChildren(...parts);
    $("step").max = $("from").max = $("to").max = labels.length;
    $("step").max = labels.length - 1;
    now.step = Math.min(now.step, labels.length - 1);
    now.from = now.to = null;
  }
  // what is as wide as the window is drawn anew where that changes
  function refit() {
    if (!heatKey) return;
    if (axis().chart) {
      const { from, to } = now;
      shownAxis = -1;
      layText();
      paintText();
      mark(from, to);
    }
    layCharts();
    drawLines();
    tellStep();
  }
  // pictures that do not change with the step
  function drawLines() {
    WIDE = Math.min(640, roomIn("main"));
    drawFlow();
    drawSaturation();
    drawSpectrum();
  }

  function paintText() {
    const one = track(), unit = one.units[now.unit], far = reach(one, now.unit);
    const property = axis().chart ? "fill" : "background";
    spans.forEach((span, t) => {
      const v = value(one, t, now.unit);
      span.style[property] = tint(share(one, v) / far);
    });
    $("legend").replaceChildren(...scaleOf(one, far, 0.78), make("span", `${one.title}, unit ${unit}`));
  }

  // from the lowest colour to the highest, with the values that they stand for
  function scaleOf(one, far, most) {
    const bar = make("i", "", { "aria-hidden": "true" });
    const stops = one.low < 0 ? [-1, -0.5, 0, 0.5, 1] : [0, 0.5, 1];
    const shade = (s) => `rgba(var(${s < 0 ? "--low" : "--high"}), ${most * Math.abs(s)})`;
    bar.style.background = `linear-gradient(to right, ${stops.map(shade).join(", ")})`;
    return [make("span", number(one.low * far)), bar, make("span", number(one.high * far))];
  }

  // a step

  function tellStep() {
    const one = track(), label = seen(axis().labels[now.step]);
    const v = value(one, now.step, now.unit);
    document.querySelector(".tokens .here")?.classList.remove("here");
    spans[now.step].classList.add("here");
    $("step").value = now.step;
    $("step").setAttribute("aria-valuetext", `step ${now.step + 1} of ${steps()}: ${label}`);
    // what is only counted needs no name
    const named = label === String(now.step + 1) ? "" : `, “${label}”`;
    let words = `Step ${now.step + 1} of ${steps()}${named}${readAt(now.step)}: ${one.title}, unit ${one.units[now.unit]} is ${number(v)}.`;
    const answer = track().axis === 0 ? D.answers[now.step] : undefined;
    if (answer) words += ` First choice: “${seen(answer.c[0][0])}”, ${percent(answer.c[0][1])}.`;
    $("told").textContent = words;
    tellStrongest();
    tellChoices();
    drawChance();
    drawHeat();
    drawPlane();
  }

  // the numbers that stood at a step of a chart
  const readAt = (t) => (axis().chart?.lines ?? []).filter((line) => line.kind === "past" && line.values[t - line.start] !== undefined)
    .map((line) => `, ${line.name} ${number(line.values[t - line.start])}`).join("");

  function tellStrongest() {
    const one = track();
    const order = one.units.map((_, u) => u).sort(
      (a, b) => Math.abs(value(one, now.step, b)) - Math.abs(value(one, now.step, a))).slice(0, 8);
    const head = make("tr"), row = make("tr");
    head.append(make("th", "unit", { scope: "row" }));
    row.append(make("th", "value", { scope: "row" }));
    for (const u of order) {
      const v = value(one, now.step, u);
      head.append(make("td", one.units[u], { class: "number" }));
      const cell = make("td", number(v), { class: "number" });
      cell.style.background = tint(share(one, v));
      row.append(cell);
    }
    const caption = make("caption", `Strongest units of ${one.title} at step ${now.step + 1}`);
    $("strongest").replaceChildren(caption, head, row);
  }

  // answers

  function tellChoices() {
    if (!$("choices")) return;
    // while another walk is looked at, the answer stays
    if (track().axis === 0) now.answer = now.step;
    const t = Math.min(now.answer ?? Infinity, D.answers.length - 1), answer = D.answers[t];
    const head = make("thead"), body = make("tbody"), top = make("tr");
    for (const words of ["choice", "share", ""]) top.append(make("th", words || "bar", { scope: "col" }));
    head.append(top);
    for (const [label, p] of answer.c) {
      const row = make("tr"), bar = make("td"), strip = make("span", "", { class: "bar", "aria-hidden": "true" });
      strip.style.width = `${Math.max(0, 7 * p)}rem`;
      bar.append(strip);
      row.append(make("th", seen(label) + (label === answer.t ? " ←" : ""), { scope: "row" }),
        make("td", percent(p), { class: "number" }), bar);
      body.append(row);
    }
    const came = answer.t === null ? "" : `; “${seen(answer.t)}” ${D.mode === "next" ? `got ${percent(answer.p)}` : `was ${D.mode}`} (←)`;
    $("choices").replaceChildren(
      make("caption", `After step ${t + 1}, “${seen(D.axes[0].labels[t])}”${came}`), head, body);
  }

  // of the whole there is no truth at a step: what counts is the share of the choice at the end
  const final = D.mode === "whole" && D.answers.length ? D.answers[D.answers.length - 1].c[0][0] : null;
  const chance = (answer) => (final === null ? answer.p : (answer.c.find(([label]) => label === final) ?? ["", 0])[1]);

  function drawChance() {
    const canvas = $("chance");
    if (!canvas) return;
    const count = D.answers.length, wide = Math.max(1, Math.floor(canvas.clientWidth / count));
    canvas.width = count * wide;
    const paint = canvas.getContext("2d"), high = canvas.height;
    paint.fillStyle = `rgb(${colour("--low")})`;
    const bar = (t) => {
      const p = chance(D.answers[t]) ?? 0;
      paint.fillRect(t * wide, high * (1 - p), Math.max(1, wide - (wide > 2)), high * p);
    };
    D.answers.forEach((_, t) => bar(t));
    if (track().axis === 0 && now.step < count) {
      // the chosen step: its whole column, so that it is seen where the bar is low
      paint.fillStyle = `rgba(${colour("--high")}, 0.3)`;
      paint.fillRect(now.step * wide, 0, wide, high);
      paint.fillStyle = `rgb(${colour("--high")})`;
      bar(now.step);
    }
  }

  function tellSurprises() {
    if (!$("surprises")) return;
    const known = D.answers.map((answer, t) => [chance(answer), t]).filter(([p]) => p !== null);
    const mean = known.reduce((sum, [p]) => sum + p, 0) / Math.max(known.length, 1);
    const of = { next: "Probability given to what came", written: "Probability given to what was written", chosen: "Probability given to what was chosen",
      whole: `Probability of “${seen(final ?? "")}”, the choice at the end` }[D.mode];
    const words = `${of}, step by step; on average ${percent(mean)}. Arrow keys move the step.`;
    $("chance-told").textContent = words;
    $("chance").setAttribute("aria-label", words);
    const found = final === null ? known.map(([p, t]) => [p, t, `“${seen(D.answers[t].t)}” got ${percent(p)}`])
      : known.slice(1).map(([p, t], k) => [-Math.abs(p - known[k][0]), t, `“${seen(final)}” went from ${percent(known[k][0])} to ${percent(p)}`]);
    found.sort((a, b) => a[0] - b[0]);
    $("surprises").replaceChildren(...found.slice(0, 8).map(([, t, told]) => {
      const item = make("li");
      // of a text that goes on, what came stands behind the step
      item.append(jump(0, t, t, told, t + (D.mode === "next" ? 1 : 0)));
      return item;
    }));
  }

  // a button that leads to some steps, with what stands around them
  function jump(place, from, to, words, first = from, last = Math.max(first, to)) {
    const { labels, joint, chart } = D.axes[place];
    const button = make("button", words, { type: "button" });
    if (chart) button.append(" ", make("span", `at ${from === to ? labels[from] : `${labels[from]} to ${labels[to]}`}`, { class: "quote" }));
    else {
      // so many steps that some letters stand on either side
      const around = (a, b) => labels.slice(a, b).map(seen).join(joint);
      let start = first, stop = last + 1;
      while (start > 0 && around(start - 1, first).length <= 20) start--;
      while (stop < labels.length && around(last + 1, stop + 1).length <= 14) stop++;
      const quote = make("span", around(start, first) + (first > start ? joint : ""), { class: "quote" });
      quote.append(make("b", around(first, last + 1)), stop > last + 1 ? joint : "", around(last + 1, stop));
      button.append(" ", quote);
    }
    button.addEventListener("click", () => goAlong(place, from));
    return button;
  }

  // to a step of one of the walks
  function goAlong(place, step) {
    if (track().axis !== place) chooseTrack(D.tracks.findIndex((one) => one.axis === place));
    goTo(step);
    spans[now.step].scrollIntoView({ block: "nearest" });
  }

  // the heat map

  let order = [];
  // the map is as wide as its box, or wider where a step would have less than a pixel
  const room = () => Math.max(200, $("heat-box").clientWidth);
  const cell = () => ({ wide: Math.max(1, Math.floor(room() / steps())),
    high: Math.max(1, Math.min(24, Math.floor(420 / track().units.length))) });
  function sortUnits() {
    const one = track(), by = $("order").value;
    order = one.units.map((_, u) => u);
    if (by === "spread") { const s = spreads(one); order.sort((a, b) => s[b] - s[a]); }
    if (by === "first") order.sort((a, b) => value(one, now.step, b) - value(one, now.step, a));
  }
  let heatKey = "", heatImage = null;
  function drawHeat() {
    const one = track(), canvas = $("heat-map"), { wide, high } = cell();
    const theme = colour("--paper");
    const key = [now.track, room(), $("scale").value, $("order").value, $("order").value === "first" ? now.step : 0, theme].join();
    const paint = canvas.getContext("2d");
    if (key !== heatKey) {
      heatKey = key;
      sortUnits();
      heatImage = document.createElement("canvas");
      heatImage.width = steps();
      heatImage.height = order.length;
      const ink = heatImage.getContext("2d"), image = ink.createImageData(steps(), order.length);
      const paper = rgb(theme), ends = [colour("--low"), colour("--high")].map((s) => s.split(",").map(Number));
      // a colour for each share from -1 to 1, once
      const table = Array.from({ length: 511 }, (_, k) => {
        const s = k / 255 - 1;
        return paper.map((p, k) => p + (ends[s < 0 ? 0 : 1][k] - p) * Math.min(Math.abs(s), 1));
      });
      const data = raw(one), count = one.units.length;
      for (let row = 0, k = 0; row < order.length; row++) {
        const u = order[row], far = reach(one, u);
        // where each byte is in the table
        const places = Int16Array.from({ length: 256 }, (_, byte) => (byte === 255 ? 255
          : Math.round(255 * (1 + Math.max(-1, Math.min(1, share(one, level(one, byte)) / far))))));
        for (let t = 0; t < steps(); t++, k += 4) {
          const [r, g, b] = table[places[data[t * count + u]]];
          image.data[k] = r; image.data[k + 1] = g; image.data[k + 2] = b; image.data[k + 3] = 255;
        }
      }
      ink.putImageData(image, 0, 0);
      canvas.width = steps() * wide;
      canvas.height = order.length * high;
      canvas.style.width = steps() <= room() ? "100%" : "auto";
      canvas.style.height = `${canvas.height}px`;
      nameSteps();
      $("heat-legend").replaceChildren(...scaleOf(one, 1, 1), make("span", $("scale").value === "own"
        ? `${one.title}; each unit up to its own largest` : one.title));
    }
    paint.imageSmoothingEnabled = false;
    paint.drawImage(heatImage, 0, 0, canvas.width, canvas.height);
    const row = order.indexOf(now.unit);
    paint.strokeStyle = colour("--ink");
    paint.globalAlpha = 0.55;
    paint.strokeRect(now.step * wide - 0.5, -1, wide + 1, canvas.height + 2);
    paint.strokeRect(-1, row * high - 0.5, canvas.width + 2, high + 1);
    paint.globalAlpha = 1;
    canvas.setAttribute("aria-label",
      `Heat map of ${one.title}: ${one.units.length} units by ${steps()} steps. ${most(one)}`);
    $("heat-told").textContent = `Step ${now.step + 1}, “${seen(axis().labels[now.step])}”${readAt(now.step)}, unit ${one.units[now.unit]}: ` +
      `${number(value(one, now.step, now.unit))}. ${one.units.length} of ${one.width} units are here.`;
  }
  // what stood at the steps, below the map: all of it, or as much as there is room for
  function nameSteps() {
    const { labels, chart } = axis(), each = Math.max(1, room() / steps());
    const told = labels.map(seen), long = 7.4 * Math.max(...told.map((label) => label.length)) + 4;
    const upright = long > each, places = chart ? chart.ticks.filter(([t]) => t < steps())
      : each >= (upright ? 15 : 8.5) ? told.map((label, t) => [t, label])
      : between(1, steps(), Math.max(4, Math.floor(room() / 90))).map((step) => [step - 1, String(step)]);
    const row = $("heat-steps");
    row.className = !chart && upright && each >= 15 ? "upright" : "";
    row.style.height = row.className ? `${Math.min(long, 7.4 * 18) + 8}px` : "";
    row.style.width = steps() <= room() ? "100%" : `${$("heat-map").width}px`;
    row.replaceChildren(...places.map(([t, words]) => {
      const mark = make("span", words.length > 18 ? `${words.slice(0, 17)}…` : words);
      mark.style.left = `${((t + 0.5) * 100) / steps()}%`;
      return mark;
    }));
  }
  const most = (one) => `Unit ${one.units[varies(one)]} varies most.`;
  const rgb = (text) => {
    const found = /^#(..)(..)(..)$/.exec(text);
    return found ? found.slice(1).map((pair) => parseInt(pair, 16)) : [255, 255, 255];
  };

  // spans, and where else

  function mark(from, to) {
    const inside = (t) => Math.max(0, Math.min(steps() - 1, Math.round(t) || 0));
    now.from = from === null ? null : inside(Math.min(from, to));
    now.to = from === null ? null : inside(Math.max(from, to));
    if (from !== null) { $("from").value = now.from + 1; $("to").value = now.to + 1; }
    findPlaces();
  }

  function findPlaces() {
    const one = track(), limit = Number($("threshold").value) / 100;
    const size = Math.max(Math.abs(one.low), Math.abs(one.high));
    $("threshold-told").textContent = number(limit * size);
    for (const span of document.querySelectorAll(".tokens .mark, .tokens .match")) span.classList.remove("mark", "match");
    if (now.from === null) {
      $("marked").textContent = "No span is marked.";
      $("on").replaceChildren();
      $("places").replaceChildren();
      return;
    }
    for (let t = now.from; t <= now.to; t++) spans[t].classList.add("mark");
    const sign = (t, u) => { const s = share(one, value(one, t, u)); return Math.abs(s) >= limit ? Math.sign(s) : 0; };
    const units = one.units.map((_, u) => u).filter((u) => {
      const first = sign(now.from, u);
      for (let t = now.from; t <= now.to; t++) if (!first || sign(t, u) !== first) return false;
      return true;
    });
    const signs = new Map(units.map((u) => [u, sign(now.from, u)]));
    const need = Math.max(1, Math.ceil(units.length * Number($("share").value)));
    const places = [];
    if (units.length) for (let t = 0, start = -1; t <= steps(); t++) {
      const enough = t < steps() && units.filter((u) => sign(t, u) === signs.get(u)).length >= need;
      if (enough && start < 0) start = t;
      if (!enough && start >= 0) {
        if (t - 1 < now.from || start > now.to) places.push([start, t - 1]);
        start = -1;
      }
    }
    for (const [a, b] of places) for (let t = a; t <= b; t++) spans[t].classList.add("match");
    const text = axis().labels.slice(now.from, now.to + 1).map(seen).join(axis().joint);
    $("marked").textContent = `Steps ${now.from + 1} to ${now.to + 1}, “${text}”: ${units.length} of ${one.units.length} ` +
      `units of ${one.title} are on throughout` + (units.length ? `; so they are in ${places.length} other place${places.length === 1 ? "" : "s"}.`
        : "; lower the threshold, or mark fewer steps.");
    $("on").replaceChildren(...units.slice(0, 60).map((u) => {
      const item = make("li");
      const button = make("button", `${one.units[u]} ${signs.get(u) > 0 ? "+" : "−"}`,
        { type: "button", "aria-pressed": String(u === now.unit), "aria-label": `Show unit ${one.units[u]}` });
      button.addEventListener("click", () => chooseUnit(u));
      item.append(button);
      return item;
    }));
    const length = now.to - now.from + 1;
    places.sort((a, b) => Math.abs(a[1] - a[0] + 1 - length) - Math.abs(b[1] - b[0] + 1 - length));
    $("places").replaceChildren(...places.slice(0, 20).map(([a, b]) => {
      const item = make("li");
      item.append(jump(track().axis, a, b, a === b ? `step ${a + 1}` : `steps ${a + 1} to ${b + 1}`));
      return item;
    }));
  }

  // pictures in lines

  // no wider than the window, so that letters keep their size
  let WIDE = 640;
  const TALL = 300, EDGE = 46;
  function frame(words) {
    const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, width: WIDE, height: TALL, role: "img", "aria-label": words });
    picture.append(draw("rect", { x: EDGE, y: 8, width: WIDE - EDGE - 12, height: TALL - 44, fill: "none",
      stroke: "currentColor", "stroke-opacity": 0.35 }));
    return picture;
  }
  const upwards = (words, x = EDGE - 12) => draw("text",
    { x: 0, y: 0, transform: `translate(${x} ${(TALL - 28) / 2}) rotate(-90)`, "text-anchor": "middle" }, words);
  const scale = (low, high, from, to) => (v) => from + ((v - low) / (high - low || 1)) * (to - from);
  // round numbers from low to high, about so many
  function between(low, high, many) {
    const rough = (high - low) / Math.max(many, 1) || 1, ten = 10 ** Math.floor(Math.log10(rough));
    const step = ten * ([1, 2, 5].find((k) => k * ten >= rough * 0.999) ?? 10);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(12)));
    return found;
  }
  function ticks(picture, x, y, across, up, names) {
    for (const [v, words] of across) picture.append(draw("text", { x: x(v), y: TALL - 20, "text-anchor": "middle" }, words));
    for (const [v, words] of up) picture.append(draw("text", { x: EDGE - 5, y: y(v) + 4, "text-anchor": "end" }, words));
    picture.append(draw("text", { x: (WIDE + EDGE) / 2, y: TALL - 4, "text-anchor": "middle" }, names));
  }
  // told apart by colour and, beyond the eight there are, by dashes
  const HUES = 8;
  const hue = (k) => `var(--hue${k % HUES})`;
  const dashes = (k) => ["none", "6 3", "2 3", "8 3 2 3"][Math.floor(k / HUES) % 4];
  function legendOf(names, look) {
    const list = make("ul", null, { class: "key" });
    list.append(...names.map((name, k) => {
      const item = make("li"), swatch = draw("svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" });
      swatch.append(draw("path", { d: "M0 5H26", fill: "none", ...look(k) }));
      item.append(swatch, " ", name);
      return item;
    }));
    return list;
  }

  // numbers over steps: lines, bands around them, and a strip for each step

  const LOOKS = { past: { style: "stroke: var(--ink)", "stroke-width": 1.6 }, came: { style: "stroke: var(--ink)", "stroke-width": 1.6, "stroke-dasharray": "2 3" },
    forecast: { style: "stroke: var(--hue1)", "stroke-width": 2.2 } };
  const lineLook = (chart, k) => {
    const { kind } = chart.lines[k], place = chart.lines.slice(0, k).filter((line) => line.kind === kind).length;
    return place ? { ...LOOKS[kind], style: `stroke: ${hue(place + 1)}` } : LOOKS[kind];
  };
  const keyOf = (chart) => legendOf(chart.lines.map((line) => line.name), (k) => lineLook(chart, k));
  function drawChart(chart, wide, tall) {
    const ends = chart.lines.map((line) => line.start + line.values.length), last = Math.max(...ends);
    const all = [...chart.lines.flatMap((line) => line.values), ...chart.bands.flatMap((band) => [...band.low, ...band.high])].filter((v) => v !== null);
    const low = Math.min(...all), high = Math.max(...all), spare = (high - low || 1) * 0.06;
    const x = scale(0, Math.max(last, 1), EDGE, wide - 12), y = scale(low - spare, high + spare, tall - 36, 8);
    const picture = draw("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": chart.words, class: "chart" });
    const strips = draw("g", {}), over = draw("g", { "pointer-events": "none" });
    for (const v of between(low, high, 5)) {
      over.append(draw("line", { x1: EDGE, x2: wide - 12, y1: y(v), y2: y(v), stroke: "currentColor", "stroke-opacity": 0.15 }));
      over.append(draw("text", { x: EDGE - 5, y: y(v) + 4, "text-anchor": "end" }, String(v)));
    }
    for (const [t, words] of chart.ticks) {
      over.append(draw("line", { x1: x(t + 0.5), x2: x(t + 0.5), y1: tall - 36, y2: tall - 31, stroke: "currentColor" }));
      over.append(draw("text", { x: Math.min(x(t + 0.5), wide - 34), y: tall - 18, "text-anchor": "middle" }, words));
    }
    over.append(draw("rect", { x: EDGE, y: 8, width: wide - 12 - EDGE, height: tall - 44, fill: "none", stroke: "currentColor", "stroke-opacity": 0.35 }));
    const way = (start, values) => {
      let path = "", pen = "M";
      values.forEach((v, k) => { if (v === null) pen = "M"; else { path += `${pen}${x(start + k + 0.5).toFixed(1)} ${y(v).toFixed(1)}`; pen = "L"; } });
      return path;
    };
    for (const { start, low: below, high: above } of chart.bands) {
      const back = below.map((v, k) => `L${x(start + k + 0.5).toFixed(1)} ${y(v).toFixed(1)}`).reverse().join("");
      over.append(draw("path", { d: `${way(start, above)}${back}Z`, style: "fill: var(--hue1)", "fill-opacity": 0.16 }));
    }
    chart.lines.forEach((line, k) => over.append(draw("path", { d: way(line.start, line.values), fill: "none", ...lineLook(chart, k) })));
    over.append(draw("text", { x: (wide + EDGE) / 2, y: tall - 3, "text-anchor": "middle" }, chart.across));
    picture.append(strips, over);
    const strip = (t) => {
      const one = draw("rect", { x: x(t), y: 8, width: x(t + 1) - x(t), height: tall - 44, "data-t": t });
      strips.append(one);
      return one;
    };
    return { picture, strip };
  }
  function layCharts() {
    $("comes-picture")?.replaceChildren(...D.charts.flatMap((chart) => [make("h3", chart.title),
      drawChart(chart, roomIn("comes-picture"), 260).picture, keyOf(chart), make("p", chart.words, { class: "hint" })]));
  }

  function drawPlane() {
    const box = $("plane-picture"), one = D.tracks[Number($("plane").value)];
    if (!one || !one.plane) {
      box.replaceChildren();
      $("plane-told").textContent = "There is no state that moves over three steps or more.";
      return;
    }
    const points = one.plane.points, xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const x = scale(Math.min(...xs), Math.max(...xs), EDGE + 10, WIDE - 22);
    const y = scale(Math.min(...ys), Math.max(...ys), TALL - 46, 18);
    const words = `${one.title} in the plane in which it moves most: ${percent(one.plane.shares[0])} of its variance ` +
      `across, ${percent(one.plane.shares[1])} upwards. The line is faint at the first step and strong at the last; the ring is the chosen step.`;
    const picture = frame(words);
    const pieces = Math.min(12, points.length - 1);
    for (let k = 0; k < pieces; k++) {
      const a = Math.floor((k * (points.length - 1)) / pieces), b = Math.floor(((k + 1) * (points.length - 1)) / pieces);
      picture.append(draw("polyline", { points: points.slice(a, b + 1).map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" "),
        fill: "none", style: "stroke: rgb(var(--low))", "stroke-width": 1.4, "stroke-opacity": 0.25 + (0.75 * (k + 1)) / pieces }));
    }
    const labels = D.axes[one.axis].labels;
    const told = labels.map(seen);
    // on the side where there is room
    if (points.length <= 80 && !D.axes[one.axis].chart) points.forEach((p, t) => {
      const left = x(p[0]) + 7 * told[t].length > WIDE - 16;
      picture.append(draw("text", { x: x(p[0]) + (left ? -5 : 4), y: Math.max(20, y(p[1]) - 3), "fill-opacity": 0.8,
        "text-anchor": left ? "end" : "start" }, told[t]));
    });
    if (one.axis === track().axis) {
      const p = points[now.step];
      picture.append(draw("circle", { cx: x(p[0]), cy: y(p[1]), r: 6, fill: "none", style: "stroke: rgb(var(--high))", "stroke-width": 3 }));
    }
    picture.append(draw("text", { x: (WIDE + EDGE) / 2, y: TALL - 16, "text-anchor": "middle" }, "first principal component"));
    picture.append(upwards("second principal component"));
    box.replaceChildren(picture);
    $("plane-told").textContent = words;
  }

  function drawFlow() {
    const box = $("flow-picture");
    if (!box) return;
    const flows = D.tracks.filter((one) => one.flow);
    const logs = flows.map((one) => one.flow.norms.map((n) => (n ? Math.log10(n) : null)));
    const all = logs.flat().filter((v) => v !== null);
    if (!all.length) return;
    const low = Math.floor(Math.min(...all)), high = Math.ceil(Math.max(...all)), count = Math.max(...logs.map((l) => l.length));
    const x = scale(0, Math.max(count - 1, 1), EDGE + 4, WIDE - 16), y = scale(low, Math.max(high, low + 1), TALL - 40, 14);
    const picture = frame("Gradient of the last step's loss, by steps before it; the table below tells it in words.");
    const every = Math.max(1, Math.ceil((high - low) / 6));
    const up = [];
    for (let e = low; e <= high; e += every) up.push([e, `1e${e}`]);
    ticks(picture, x, y, between(0, Math.max(count - 1, 1), 7).map((t) => [t, String(t)]), up, "steps before the last one that is heard");
    logs.forEach((line, k) => {
      // states that nothing reaches leave gaps
      let path = "", pen = "M";
      line.forEach((v, t) => { if (v === null) pen = "M"; else { path += `${pen}${x(t).toFixed(1)} ${y(v).toFixed(1)}`; pen = "L"; } });
      picture.append(draw("path", { d: path, fill: "none", style: `stroke: ${hue(k)}`, "stroke-width": 2, "stroke-dasharray": dashes(k) }));
    });
    box.replaceChildren(picture, legendOf(flows.map((one) => one.title),
      (k) => ({ style: `stroke: ${hue(k)}`, "stroke-width": 3, "stroke-dasharray": dashes(k) })));
  }

  function drawSaturation() {
    const select = $("bounded");
    if (!select) return;
    const one = D.tracks[Number(select.value)], { low, high, words } = one.saturation;
    const picture = frame(`${one.title}: ${words}`);
    const x = scale(0, 1, EDGE + 8, WIDE - 22), y = scale(0, 1, TALL - 44, 16);
    ticks(picture, x, y, [[0, "0"], [0.5, "0.5"], [1, "1"]], [[0, "0"], [0.5, "0.5"], [1, "1"]],
      "share of steps near the lower limit");
    picture.append(upwards("near the upper limit", EDGE - 28));
    picture.append(draw("line", { x1: x(0), y1: y(1), x2: x(1), y2: y(0), stroke: "currentColor", "stroke-opacity": 0.25 }));
    low.forEach((v, k) => picture.append(draw("circle", { cx: x(v), cy: y(high[k]), r: 4, style: "fill: rgb(var(--low))", "fill-opacity": 0.45 })));
    $("saturation-picture").replaceChildren(picture);
  }

  function drawSpectrum() {
    const select = $("matrix");
    if (!select) return;
    const one = D.spectra[Number(select.value)], reach = Math.max(1.1, ...one.points.map(([a, b]) => Math.max(Math.abs(a), Math.abs(b))));
    const side = Math.min(340, WIDE);
    const picture = draw("svg", { viewBox: `0 0 ${side} ${side}`, width: side, height: side, role: "img", "aria-label": `${one.title}: ${one.words}` });
    const at = scale(-reach, reach, 12, side - 12);
    picture.append(draw("circle", { cx: at(0), cy: at(0), r: at(1) - at(0), fill: "none", stroke: "currentColor", "stroke-opacity": 0.6 }));
    picture.append(draw("line", { x1: 8, x2: side - 8, y1: at(0), y2: at(0), stroke: "currentColor", "stroke-opacity": 0.25 }));
    picture.append(draw("line", { y1: 8, y2: side - 8, x1: at(0), x2: at(0), stroke: "currentColor", "stroke-opacity": 0.25 }));
    for (const [a, b] of one.points) {
      const out = Math.hypot(a, b) > 1;
      picture.append(draw("circle", { cx: at(a), cy: side - at(b), r: 3.5, style: `fill: rgb(var(${out ? "--high" : "--low"}))`, "fill-opacity": 0.7 }));
    }
    for (const [a, b, words] of [[0, 1, "1"], [1, 0, "1"], [-1, 0, "−1"], [0, -1, "−1"]])
      picture.append(draw("text", { x: at(a) + 3, y: side - at(b) - 4 }, words));
    picture.append(draw("text", { x: side - 6, y: side - 8, "text-anchor": "end", "fill-opacity": 0.75 }, "real part →"));
    picture.append(draw("text", { x: 6, y: 16, "fill-opacity": 0.75 }, "imaginary part ↑"));
    $("spectrum-picture").replaceChildren(picture);
  }

  function layLooks() {
    const box = $("looks");
    if (!box) return;
    box.replaceChildren(...D.attention.map((one) => {
      const table = make("table"), head = make("thead"), top = make("tr"), body = make("tbody"), data = bytes(one.data);
      top.append(make("td", "written ↓ read →"), ...one.read.map((label) => make("th", seen(label), { scope: "col" })));
      head.append(top);
      one.written.forEach((label, row) => {
        const line = make("tr");
        line.append(make("th", seen(label), { scope: "row" }));
        one.read.forEach((_, column) => {
          const w = data[row * one.read.length + column] / 254;
          const entry = make("td", w >= 0.005 ? w.toFixed(2).slice(1) : "");
          if (w > 0.995) entry.textContent = "1";
          entry.style.background = tint(w);
          line.append(entry);
        });
        body.append(line);
      });
      table.append(make("caption", `${one.name}: each row is a share of 1`), head, body);
      return table;
    }));
  }

  // the step under the mouse
  const under = (event) => { const t = event.target.dataset?.t; return t === undefined ? null : Number(t); };

  // what a person chooses

  function goTo(step) {
    now.step = Math.max(0, Math.min(steps() - 1, step));
    tellStep();
  }
  function chooseUnit(u) {
    now.unit = Math.max(0, Math.min(track().units.length - 1, u));
    $("unit").value = now.unit;
    paintText();
    tellStep();
    for (const button of document.querySelectorAll("#on button"))
      button.setAttribute("aria-pressed", String(button.textContent.split(" ")[0] === String(track().units[now.unit])));
  }
  function chooseTrack(number) {
    const unit = track().units[now.unit];
    now.track = number;
    $("track").value = number;
    fill($("unit"), track().units.map((u, k) => [k, u]));
    layText();
    // the same unit of another gate, where it is shown
    const same = now.started ? track().units.indexOf(unit) : -1;
    now.started = true;
    if (track().plane) $("plane").value = number;
    chooseUnit(same < 0 ? varies(track()) : same);
    findPlaces();
  }

  const THEMES = ["system", "light", "dark"];
  function setTheme(name) {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $("theme").textContent = `Theme: ${name === "system" ? "as the system" : name}`;
    $("theme").dataset.name = name;
    drawHeat();
    drawChance();
  }

  // begin

  const groups = new Map();
  D.tracks.forEach((one, k) => {
    const name = one.kind === "input" ? "what was read" : `layer ${one.layer}${one.direction ? ", from the end" : ""}`;
    if (!groups.has(name)) groups.set(name, make("optgroup", null, { label: name }));
    groups.get(name).append(make("option", `${one.name} (${one.kind}), ${name}`, { value: k }));
  });
  $("track").replaceChildren(...groups.values());
  const states = D.tracks.map((one, k) => [k, one]).filter(([, one]) => one.plane);
  fill($("plane"), states.map(([k, one]) => [k, one.title]));
  if ($("bounded")) fill($("bounded"), D.tracks.map((one, k) => [k, one]).filter(([, one]) => one.saturation).map(([k, one]) => [k, one.title]));
  if ($("matrix")) fill($("matrix"), D.spectra.map((one, k) => [k, one.title]));

  $("track").addEventListener("change", (event) => chooseTrack(Number(event.target.value)));
  $("unit").addEventListener("change", (event) => chooseUnit(Number(event.target.value)));
  $("unit-back").addEventListener("click", () => chooseUnit(now.unit - 1));
  $("unit-next").addEventListener("click", () => chooseUnit(now.unit + 1));
  $("unit-most").addEventListener("click", () => chooseUnit(varies(track())));
  $("step").addEventListener("input", (event) => goTo(Number(event.target.value)));
  $("order").addEventListener("change", drawHeat);
  $("scale").addEventListener("change", () => { paintText(); drawHeat(); });
  $("plane").addEventListener("change", drawPlane);
  $("bounded")?.addEventListener("change", drawSaturation);
  $("matrix")?.addEventListener("change", drawSpectrum);
  for (const id of ["from", "to"]) $(id).addEventListener("change", () => {
    const other = id === "from" ? "to" : "from";
    const early = Number($("from").value) > Number($("to").value);
    if (early || now.from === null) $(other).value = $(id).value;
    mark(Number($("from").value) - 1, Number($("to").value) - 1);
  });
  for (const id of ["threshold", "share"]) $(id).addEventListener("input", findPlaces);
  $("unmark").addEventListener("click", () => mark(null, null));
  $("theme").addEventListener("click", () => setTheme(THEMES[(THEMES.indexOf($("theme").dataset.name) + 1) % 3]));
  addEventListener("resize", refit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawHeat(); drawChance(); });

  $("tokens").addEventListener("mouseover", (event) => {
    const t = under(event);
    if (t === null) return;
    const words = `step ${t + 1}, “${seen(axis().labels[t])}”${readAt(t)}: ${number(value(track(), t, now.unit))}`;
    // a shape has its tooltip in an element of its own
    if (axis().chart) event.target.replaceChildren(draw("title", {}, words));
    else event.target.title = words;
  });

  // dragging over the text marks a span; a click chooses a step
  let begun = null;
  $("tokens").addEventListener("mousedown", (event) => { begun = under(event); });
  $("tokens").addEventListener("mouseup", (event) => {
    const ended = under(event);
    if (begun === null || ended === null) return;
    if (begun === ended) goTo(ended);
    else { mark(begun, ended); getSelection().removeAllRanges(); }
    begun = null;
  });
  $("heat-map").addEventListener("click", (event) => {
    const box = event.target.getBoundingClientRect(), { wide, high } = cell();
    const row = Math.floor(((event.clientY - box.top) * event.target.height) / box.height / high);
    chooseUnit(order[Math.max(0, Math.min(order.length - 1, row))]);
    goTo(Math.floor(((event.clientX - box.left) * event.target.width) / box.width / wide));
  });
  $("heat-map").addEventListener("mousemove", (event) => {
    const box = event.target.getBoundingClientRect(), one = track();
    const inside = (share, count) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
    const u = order[inside((event.clientY - box.top) / box.height, order.length)], t = inside((event.clientX - box.left) / box.width, steps());
    event.target.title = `step ${t + 1}, “${seen(axis().labels[t])}”, unit ${one.units[u]}: ${number(value(one, t, u))}`;
  });
  $("chance")?.addEventListener("click", (event) => {
    const box = event.target.getBoundingClientRect();
    goAlong(0, Math.floor(((event.clientX - box.left) / box.width) * D.answers.length));
  });
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (const id of ["heat-map", "chance"]) $(id)?.addEventListener("keydown", (event) => {
    const way = KEYS[event.key];
    if (!way) return;
    event.preventDefault();
    if (way[1]) chooseUnit(order[Math.max(0, Math.min(order.length - 1, order.indexOf(now.unit) + way[1]))]);
    else goTo(now.step + way[0]);
  });

  $("theme").dataset.name = "system";
  now.track = 0;
  layLooks();
  layCharts();
  tellSurprises();
  // a state tells more at first sight than a gate
  const first = D.tracks.findIndex((one) => one.name === "c" && one.kind === "state");
  // where all has been read
  now.step = Infinity;
  drawLines();
  chooseTrack(Math.max(first, 0));
  document.documentElement.dataset.ready = "yes";
  // when the first picture is on the screen
  requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));
})();
