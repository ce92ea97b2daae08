"""The page itself: what can be said without a script is written here, the rest draws itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from ostinato.inspect.page.data import as_json
from ostinato.inspect.page.material import Material

__all__ = ["to_html"]

# nothing may be loaded, and nothing sent: all is in the file
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


# which loss is followed back
_LAST = "that of the last step, with the model's first choice there taken for right"
_LOSSES = {
    "classifier": "that of the label that it gives to the whole",
    "forecaster": "that of the forecast of the whole horizon, for what came",
    "translator": "that of the last piece that it wrote",
    "captioner": "that of the last token that it wrote",
    "network": "the one that was given with the trace",
}

# what is listed beside the answers
_STRIKING = {
    "next": "What surprised the model most",
    "written": "Where the model was least sure",
    "chosen": "Where the model was least sure",
    "whole": "What changed its mind most",
}

# lines of an answer that are shown at once
_LINES = 6


def to_html(material: Material, data: dict[str, Any], notes: Sequence[str]) -> str:
    """Write the page as one file."""
    sections = [
        ("text", f"{_what(material)}, coloured by one unit", _text()),
        *([("comes", "What is said to come", _comes())] if material.charts else []),
        *([("answers", material.question, _answers(material))] if material.answers else []),
        ("heat", "States and gates over the steps", _heat()),
        ("marks", "Mark a span, and find where the same units are on", _marks()),
        ("walk", "The path of a state, in a plane", _walk()),
        *_flow(data, material.task),
        *_saturation(data),
        *_spectra(data),
        *([("attention", "Where attention looked", _looks())] if material.attention else []),
        *([("diagrams", "The network, drawn", _diagrams(material))] if material.diagrams else []),
        *([("model", "What the model is", _facts(material))] if material.facts else []),
    ]
    links = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections)
    body = "\n".join(_section(key, title, inner) for key, title, inner in sections)
    title = escape(material.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{_static("page.css")}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the views</a>
<header>
<h1>{title}</h1>
<button type="button" id="theme">Theme: as the system</button>
{_lines("summary", material.whole)}
{_noted(notes)}
<noscript><p class="note">The pictures need JavaScript; the rest is here without.</p></noscript>
</header>
<nav aria-label="Views"><ul>{links}</ul></nav>
<main id="main">
{body}
</main>
<footer><p>Written by Ostinato. All data are in this file; nothing is loaded or sent.</p></footer>
<script type="application/json" id="data">{as_json(data)}</script>
<script>{_static("page.js")}</script>
</body>
</html>
"""


def _what(material: Material) -> str:
    """What the steps of the page are."""
    ways = {axis.name.rpartition(" ")[2] for axis in material.axes}
    if "written" in ways:
        return "What was read and written" if "read" in ways else "What was written"
    return "What was read"


def _static(name: str) -> str:
    return (files("ostinato.inspect.page") / "static" / name).read_text(encoding="utf-8")


def _section(key: str, title: str, inner: str) -> str:
    return (
        f'<section id="{key}" aria-labelledby="{key}-title">\n'
        f'<h2 id="{key}-title">{escape(title)}</h2>\n{inner}\n</section>'
    )


def _lines(name: str, lines: Sequence[str]) -> str:
    """A list; a long one is folded after its first lines."""
    items = [f"<li>{escape(line)}</li>" for line in lines]
    if not items:
        return ""
    told = f'<ul class="{name}">{"".join(items[:_LINES])}</ul>'
    if len(items) > _LINES:
        rest = f'<ul class="{name}">{"".join(items[_LINES:])}</ul>'
        told += f"<details><summary>{len(items) - _LINES} more</summary>{rest}</details>"
    return told


def _noted(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f'<div class="note" role="note"><strong>Note</strong>{_lines("notes", notes)}</div>'


def _field(label: str, control: str) -> str:
    return f"<label>{escape(label)} {control}</label>"


_SCALES = (
    '<select id="scale"><option value="all">the largest of all units</option>'
    '<option value="own">the largest of each unit</option></select>'
)


def _text() -> str:
    fields = [
        _field("Values", '<select id="track"></select>'),
        _field("Unit", '<select id="unit"></select>'),
        _field("Colours up to", _SCALES),
        '<button type="button" id="unit-back">Previous unit</button>',
        '<button type="button" id="unit-next">Next unit</button>',
        '<button type="button" id="unit-most">Unit that varies most</button>',
    ]
    return (
        f'<div class="controls">{"".join(fields)}</div>'
        '<div id="legend" class="legend"></div>'
        '<div id="tokens" class="tokens" tabindex="0" role="group" '
        'aria-label="The steps; choose one with the slider below"></div>'
        '<div class="controls"><label class="wide">Step '
        '<input type="range" id="step" min="0" value="0"></label></div>'
        '<p id="told" class="told" aria-live="polite"></p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Strongest units at this step">'
        '<table id="strongest"><caption>Strongest units at this step</caption></table></div>'
    )


def _comes() -> str:
    return '<div id="comes-picture"></div>'


def _answers(material: Material) -> str:
    return (
        '<figure><canvas id="chance" role="img" tabindex="0" height="90"></canvas>'
        '<figcaption id="chance-told"></figcaption></figure>'
        '<div class="two"><div class="scroll" tabindex="0" role="region" '
        'aria-label="Choices at this step"><table id="choices"></table></div>'
        f'<div><h3>{_STRIKING[material.mode]}</h3><ol id="surprises"></ol></div></div>'
    )


def _heat() -> str:
    order = '<select id="order"><option value="number">number</option>'
    order += '<option value="spread">how much they vary</option>'
    order += '<option value="first">value at the chosen step</option></select>'
    return (
        f'<p class="hint">The values chosen above; a row is a unit, a column a step. Arrow keys '
        f'move the cross.</p><div class="controls">{_field("Sort units by", order)}</div>'
        '<div id="heat-legend" class="legend"></div>'
        '<div class="scroll" id="heat-box"><canvas id="heat-map" role="img" tabindex="0"></canvas>'
        '<div id="heat-steps" aria-hidden="true"></div></div>'
        '<p id="heat-told" class="told" aria-live="polite"></p>'
    )


_SHARES = (
    '<select id="share"><option value="1">all</option><option value="0.8">four fifths</option>'
    '<option value="0.5">half</option></select>'
)


def _marks() -> str:
    return (
        '<p class="hint">Drag over the text above, or give the first and last step. A unit is on '
        "where its size is above the threshold; units count that are on, with one sign, at every "
        'step of the span.</p><div class="controls">'
        + _field("First step", '<input type="number" id="from" min="1" value="1">')
        + _field("Last step", '<input type="number" id="to" min="1" value="1">')
        + _field("Threshold", '<input type="range" id="threshold" min="5" max="95" value="50">')
        + '<output id="threshold-told" for="threshold"></output>'
        + _field("Of these units", _SHARES)
        + '<button type="button" id="unmark">Clear</button></div>'
        '<p id="marked" class="told" aria-live="polite"></p>'
        '<h3>Units that are on</h3><ul id="on" class="chips"></ul>'
        '<h3>Where else</h3><ol id="places"></ol>'
    )


def _walk() -> str:
    return (
        '<div class="controls">' + _field("State", '<select id="plane"></select>') + "</div>"
        '<div id="plane-picture" class="picture"></div><p id="plane-told" class="told"></p>'
    )


def _flow(data: dict[str, Any], task: str) -> list[tuple[str, str, str]]:
    flows = [track for track in data["tracks"] if track["flow"]]
    if not flows:
        return []
    rows = [(track["title"], track["flow"]["words"]) for track in flows]
    inner = (
        '<p class="hint">Size of the gradient of the loss with respect to a state, by how many '
        "steps it lies before the last one that the loss hears, on a logarithmic scale. The loss "
        f"is {_LOSSES.get(task, _LAST)}.</p>"
        '<div id="flow-picture" class="picture"></div>'
        + _table("Gradient flow in words", ("state", "finding"), rows)
    )
    return [("flow", "How far the loss reaches back", inner)]


def _saturation(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    bounded = [track for track in data["tracks"] if track["saturation"]]
    if not bounded:
        return []
    rows = [(track["title"], track["saturation"]["words"]) for track in bounded]
    inner = (
        '<p class="hint">A dot is a unit: how often it is near its lower limit, and how often near '
        "its upper one. Near a corner it is stuck; on the line between it is never in the middle."
        '</p><div class="controls">' + _field("Values", '<select id="bounded"></select>') + "</div>"
        '<div id="saturation-picture" class="picture"></div>'
        + _table("Saturation in words", ("values", "finding"), rows)
    )
    return [("saturation", "Saturation: how often values are at their limits", inner)]


def _spectra(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    if not data["spectra"]:
        return []
    rows = [(one["title"], one["words"]) for one in data["spectra"]]
    inner = (
        '<div class="controls">' + _field("Step", '<select id="matrix"></select>') + "</div>"
        '<div id="spectrum-picture" class="picture"></div>'
        + _table("Spectra in words", ("step", "finding"), rows)
    )
    return [("spectrum", "Spectrum of a step: what it stretches and what fades", inner)]


def _looks() -> str:
    return '<div id="looks" class="scroll" tabindex="0" role="region" aria-label="Weights"></div>'


def _diagrams(material: Material) -> str:
    return "\n".join(
        f"<figure><h3>{escape(title)}</h3>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">{svg}</div>'
        f"<figcaption><details><summary>In words</summary><p>{escape(words)}</p></details>"
        "</figcaption></figure>"
        for title, svg, words in material.diagrams
    )


def _facts(material: Material) -> str:
    return "\n".join(
        f"<details{' open' if place == 0 else ''}><summary>{escape(section)}</summary>"
        f"{_table(section, ('name', 'value'), rows)}</details>"
        for place, (section, rows) in enumerate(material.facts)
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(one)}</td>" for one in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )
