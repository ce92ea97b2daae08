// A piece that was composed: heard, saved, and gone on from.
import { element, say } from "./ask.js";

let context = null;

function stop() {
  context?.close();
  context = null;
}

// each note for as long as it sounds, by a plain oscillator
function play(steps, perQuarter) {
  stop();
  context = new AudioContext();
  const step = 60 / 90 / perQuarter;
  const loud = context.createGain();
  loud.gain.value = 0.08;
  loud.connect(context.destination);
  for (let k = 0; k < steps.length; k++) {
    for (const note of steps[k]) {
      if (k && steps[k - 1].includes(note)) continue;
      let end = k + 1;
      while (end < steps.length && steps[end].includes(note)) end++;
      const sound = context.createOscillator();
      sound.type = "triangle";
      sound.frequency.value = 440 * 2 ** ((note - 69) / 12);
      sound.connect(loud);
      sound.start(context.currentTime + 0.05 + k * step);
      sound.stop(context.currentTime + 0.05 + end * step - 0.02);
    }
  }
  say(`${(steps.length * step).toFixed(0)} seconds of music.`);
}

function link(name, address) {
  return element("a", { href: address, download: name }, `Save ${name}`);
}

function row(title, form, { facts }) {
  const listen = element("button", { type: "button", className: "listen" }, `Listen: ${title}`);
  listen.addEventListener("click", () => play(facts.steps, facts.per_quarter));
  const on = element("button", { type: "button" }, "Go on from here");
  on.addEventListener("click", () => {
    form.text.value = facts.text;
    form.requestSubmit();
  });
  const json = `data:application/json,${encodeURIComponent(JSON.stringify(facts.steps))}`;
  const saved = [link("composed.json", json)];
  if (facts.midi) saved.unshift(link("composed.mid", `data:audio/midi;base64,${facts.midi}`));
  return element("p", { className: "buttons" }, listen, on, ...saved);
}

export function player(form, { plain, held }) {
  const quiet = element("button", { type: "button" }, "Silence");
  quiet.addEventListener("click", stop);
  const rows = [row("the piece", form, plain), ...(held ? [row("with units held", form, held)] : [])];
  rows[0].append(quiet);
  return rows;
}
