"""The pages as a person uses them, in a browser, served by the command."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

import ostinato
from browser import MISSING, Browser, find_browser

pytestmark = pytest.mark.skipif(
    find_browser() is None and not os.environ.get("OSTINATO_BROWSER"),
    reason=f"{MISSING}; with OSTINATO_BROWSER=1 that is an error",
)


@contextlib.contextmanager
def served(folder):
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "ostinato", "studio", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        try:
            line = it.stdout.readline()
            found = re.fullmatch(
                r"(\d+) runs at (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)\n", line
            )
            assert found, line + it.stderr.read()
            yield found[2]
        finally:
            it.send_signal(signal.SIGINT)
            said, complained = it.communicate(timeout=60)
        assert (it.returncode, said, complained) == (0, "Ended.\n", "")


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    return shutil.copytree(fitted, tmp_path_factory.mktemp("live") / "runs")


@pytest.fixture(scope="module")
def home(folder):
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def _browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(_browser, home):
    """A page that must not complain, and must load all that it loads from the studio."""
    _browser.problems.clear()
    _browser.size(1280, 900)
    yield _browser
    assert _browser.problems == []
    assert _browser.loaded_from() <= {home}


def rows(page, selector):
    script = f"[...document.querySelectorAll('{selector} tr')].map((r) => r.innerText)"
    return page.run(script)


def test_curves_follow_a_run_that_is_written(page, home, folder):
    page.open(home)
    page.wait("document.querySelectorAll('#plot .scatterlayer .trace').length > 4")
    step = "document.querySelector('[data-run=lm] [data-field=step]').innerText"
    assert page.run(step) == "60"
    with (folder / "lm" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 1234, "loss": 0.5, "tokens": 9999, "seconds": 9}) + "\n")
    page.wait(f"{step} === '1,234'")
    assert "running" in page.text("[data-run=lm]")
    page.wait(
        "document.querySelector('#said').innerText.includes('lm runs: step 1,234, loss 0.5.')"
    )


def test_curves_change_with_what_is_chosen(page, home):
    page.open(home)
    shown = "[...document.querySelectorAll('#plot text[class$=title]')].map((t) => t.textContent)"
    page.wait(f"{shown}.includes('updates of the weights')")
    page.set("[name=axis]", "seconds")
    page.wait(f"{shown}.includes('seconds of training')")
    page.set("[name=measure][value=val_accuracy]", True)
    page.wait(f"{shown}.includes('validation accuracy')")
    lines = "document.querySelectorAll('#plot .scatterlayer .trace').length"
    before = page.run(lines)
    page.set("[name=smoothing]", "0.9")
    page.wait(f"{lines} > {before}")
    smooth = page.run(lines)
    assert page.text("#controls output") == "0.9"
    page.set("#runs input[value=lm]", False)
    page.wait("!document.querySelector('#differing').innerText.includes('lm')")
    assert page.run(lines) < smooth
    page.click("#none")
    page.wait(f"{lines} === 0")
    page.click("#all")
    page.wait(f"{lines} === {smooth}")


def test_a_text_is_read_step_by_step(page, home):
    page.open(f"{home}/runs/lm/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.set("#text", "to be, or")
    page.click("#ask .main")
    page.wait("document.querySelector('#said').innerText === '9 tokens read.'")
    assert page.run("document.querySelector('#coloured').textContent") == "to be, or"
    assert page.run("document.querySelectorAll('#coloured [class*=\"l\"]').length") == 9
    assert page.text("#where").startswith("After 8: r, the unit is at")
    page.click("#before")
    assert page.text("#where").startswith("After 7: o, the unit is at")
    page.click("#coloured [data-step='1']")
    assert page.text("#where").startswith("After 1: o, the unit is at")
    assert page.run("document.querySelector('#coloured .now').dataset.step") == "1"
    with ostinato.engine("eager"):
        assert len(rows(page, "#answers tbody")) == 8
    page.click("#play")
    page.wait("document.querySelector('#step').value === '8'")
    page.wait("document.querySelector('#play').innerText === 'Play'")


def test_another_unit_colours_the_text_and_stays_in_the_address(page, home):
    page.open(f"{home}/runs/lm/read?text=to+be")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    before = page.text("#range")
    page.set("#look [name=name]", "c")
    page.wait("document.querySelector('#range').innerText.startsWith('Unit 0 of c, layer 1')")
    page.set("#look [name=unit]", "3")
    page.wait("document.querySelector('#range').innerText.startsWith('Unit 3 of c, layer 1')")
    page.set("#look [name=layer]", "stack.0/0")
    page.wait("document.querySelector('#range').innerText.startsWith('Unit 3 of c, layer 0')")
    assert page.text("#range") != before
    page.click("#lively button")
    page.wait(
        "location.search.includes('unit=' + document.querySelector('#lively button').innerText)"
    )
    # the address alone leads back here
    address, told = page.run("location.href"), page.text("#range")
    page.open(f"{home}/")
    page.open(address)
    page.wait(f"document.querySelector('#range')?.innerText === {json.dumps(told)}")


def test_a_cell_of_the_heat_map_chooses_unit_and_step(page, home):
    page.open(f"{home}/runs/lm/read?text=to+be")
    page.wait("document.querySelector('#heat .nsewdrag') !== null")
    page.click("#heat .nsewdrag")
    page.wait("!document.querySelector('#range').innerText.startsWith('Unit 0 ')")
    assert page.text("#where").startswith("After 2: ␣")


def test_what_cannot_be_read_is_said_and_forgotten(page, home):
    page.open(f"{home}/runs/lm/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.set("#text", "Zebra")
    page.click("#ask .main")
    page.wait("document.querySelector('#problem').innerText.includes('not in the training text')")
    assert page.run("document.querySelector('#found').hidden")
    # the browser notes the refusal in its console
    assert len(page.problems) == 1
    page.problems.clear()
    page.set("#text", "to be")
    page.click("#ask .main")
    page.wait(
        "document.querySelector('#problem').hidden && !document.querySelector('#found').hidden"
    )


@pytest.mark.parametrize(
    ("key", "question"),
    [
        ("tagger", "Which tag has the word?"),
        ("classifier", "Which label would the whole have, if it ended here?"),
    ],
)
def test_taggers_and_classifiers_answer_step_by_step(page, home, key, question):
    page.open(f"{home}/runs/{key}/read?text=a+good+film")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    assert page.text("#question") == question
    assert page.run("document.querySelector('#coloured').textContent") == "a good film"
    last = rows(page, "#answers tbody")
    page.click("#coloured [data-step='0']")
    assert rows(page, "#answers tbody") != last


def test_a_text_is_written_and_written_on(page, home):
    page.open(f"{home}/runs/lm/write")
    page.set("#prompt", "to be")
    page.set("[name=length]", "20")
    page.click("#write")
    page.wait("document.querySelector('#said').innerText === '20 tokens.'")
    first = page.run("document.querySelector('#plain').textContent")
    assert first.startswith("to be")
    page.click("#on")
    page.wait("document.querySelector('#said').innerText === '40 tokens.'")
    whole = page.run("document.querySelector('#plain').textContent")
    assert whole.startswith(first)
    page.set("[name=length]", "40")
    page.click("#write")
    page.wait(
        "document.querySelector('#said').innerText === '40 tokens.'"
        " && !document.querySelector('#on').disabled"
    )
    assert page.run("document.querySelector('#plain').textContent") == whole
    page.set("[name=temperature]", "0")
    page.click("#write")
    page.wait(f"document.querySelector('#plain').textContent !== {json.dumps(whole)}")


def hold(page, number, state, unit, value):
    """Add a unit to those that are held, by the buttons and fields of the page."""
    page.click("#add-hold")
    place = f"#held-units li:nth-child({number})"
    page.set(f"{place} select", state)
    for field, given in ((2, unit), (3, value)):
        page.set(f"{place} label:nth-child({field}) input", given)


def test_held_units_are_shown_beside_the_text_as_it_is(page, home):
    page.open(f"{home}/runs/lm/write")
    page.set("[name=length]", "60")
    assert page.run("document.querySelector('#held-part').hidden")
    hold(page, 1, "2", 0, 5)
    hold(page, 2, "3", 4, -5)
    page.click("#write")
    page.wait("document.querySelector('#said').innerText.includes('the text parts at token')")
    plain, both = (
        page.run(f"document.querySelector('{name}').textContent") for name in ("#plain", "#held")
    )
    assert plain != both
    assert page.run("document.querySelectorAll('#held .other').length") > 0
    assert "the unit was between" in page.text("#range")
    page.click("#plain [data-at='0']")
    assert page.text("#where").startswith("For token 0, which became")
    # with one of the two left, another text
    page.click("#held-units li:nth-child(1) button")
    page.click("#write")
    told = "document.querySelector('#held').textContent"
    page.wait(
        f"document.querySelector('#said').innerText.startsWith('60 tokens') && {told} !== "
        f"{json.dumps(both)}"
    )
    assert page.run("document.querySelector('#plain').textContent") == plain


def test_a_unit_that_is_not_there_is_not_asked_for(page, home):
    page.open(f"{home}/runs/lm/write")
    hold(page, 1, "0", 99, 1)
    page.click("#write")
    assert page.run("document.querySelector('#held-units input:invalid') !== null")
    assert page.run("document.querySelector('#texts').hidden")


def test_held_units_are_listed_by_keyboard_and_kept_in_the_address(page, home):
    page.open(f"{home}/runs/lm/read?text=to+be")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.run("document.querySelector('#add-hold').focus()")
    page.press("Enter")
    # the new unit's number has the focus
    page.run("document.activeElement.select()")
    page.type("3")
    page.press("Tab")
    page.run("document.activeElement.select()")
    page.type("0.75")
    page.run("document.querySelector('#add-hold').focus()")
    page.press(" ")
    assert page.run("document.querySelectorAll('#held-units li').length") == 2
    page.click("#ask .main")
    page.wait("location.search.includes('hold=')")
    address = page.run("location.href")
    told = page.run("new URLSearchParams(location.search).getAll('hold')")
    assert told == ["stack.0/0/h/3/0.75", "stack.0/0/h/0/1"]
    answers = rows(page, "#answers tbody")
    assert "%" in answers[0]
    page.open(f"{home}/")
    page.call("Page.navigate", url=address)
    page.wait("document.querySelector('#heat .main-svg') !== null")
    assert page.run("document.querySelectorAll('#held-units li').length") == 2
    assert rows(page, "#answers tbody") == answers
    page.run("document.querySelector('#held-units li:first-child button').focus()")
    page.press("Enter")
    assert page.run("document.querySelectorAll('#held-units li').length") == 1
    # the focus goes on to the next one
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.run(focused) == "Do not hold unit 1 of the list"
    page.press("Enter")
    assert page.run("document.activeElement.id") == "add-hold"


def test_the_unit_that_is_looked_at_can_be_held(page, home):
    page.open(f"{home}/runs/lm/read?text=to+be")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.set("#look [name=unit]", "5")
    page.wait("document.querySelector('#range').innerText.startsWith('Unit 5')")
    page.click("#hold-this")
    page.click("#ask .main")
    page.wait("!document.querySelector('#row-part').hidden")
    page.set("#look [name=row]", "held")
    page.wait("/from (\\S+) to \\1,/.test(document.querySelector('#range').innerText)")
    page.set("#look [name=name]", "f")
    page.wait("document.querySelector('#range').innerText.includes('of f')")
    # a gate is no state that could be held
    assert page.run("document.querySelector('#hold-this').hidden")


# what each task is asked


def test_a_line_is_translated_piece_by_piece(page, home):
    page.open(f"{home}/runs/translator/read?text=one+two")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    assert len(rows(page, "#answers tbody")) > 2
    page.wait("document.querySelectorAll('#result .main-svg').length >= 1")
    assert "Attention was on" in page.text("#where")
    page.set("#look [name=layer]", "encoder.0/1")
    page.wait("document.querySelector('#range').innerText.includes('encoder, layer 0, from the')")
    assert page.run("document.querySelector('#coloured').textContent") == "one two <end>"
    # what was read has no answers of its own
    assert page.run("document.querySelector('#answers').hidden")
    hold(page, 1, "0", 0, 4)
    hold(page, 2, "4", 1, 4)
    page.click("#ask .main")
    page.wait("document.querySelectorAll('#result .columns section').length === 2")


def test_a_forecast_begins_where_it_is_told_to(page, home, tmp_path):
    (tmp_path / "y.csv").write_text("t,y\n" + "".join(f"{k},{k % 7}\n" for k in range(60)))
    page.open(f"{home}/runs/forecaster/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.files("#file", tmp_path / "y.csv")
    page.wait("document.querySelector('#origin-part output').innerText === '60: 60'")
    page.wait("document.querySelectorAll('#result .scatterlayer .trace').length > 3")
    table = "document.querySelector('#result tbody').textContent"
    before = page.run(table)
    page.set("[name=origin]", "50")
    page.wait("document.querySelector('#origin-part output').innerText === '50: 50'")
    legend = "[...document.querySelectorAll('#result .legendtext')].map((t) => t.textContent)"
    page.wait(f"{legend}.includes('what came')")
    assert page.run(table) != before
    page.wait("location.search.includes('origin=50')")
    address = page.run("location.href")
    page.open(f"{home}/")
    page.call("Page.navigate", url=address)
    page.wait("document.querySelector('#origin-part output')?.innerText === '50: 50'")
    page.wait(f"{legend}.includes('what came')")
    hold(page, 1, "0", 1, 3)
    page.click("#ask .main")
    page.wait(f"{legend}.includes('forecast, units held')")
    assert page.run("document.querySelector('#origin-part output').innerText") == "50: 50"


def test_a_vector_is_described(page, home, tmp_path):
    (tmp_path / "v.csv").write_text("vector\n")
    page.open(f"{home}/runs/captioner/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.set("#text", "0 1 2")
    page.click("#ask .main")
    page.wait("document.querySelector('#result .coloured').innerText === 'up'")
    page.set("#text", "1 0 2")
    page.click("#ask .main")
    page.wait("document.querySelector('#result .coloured').innerText === 'down'")


def test_music_is_composed_heard_and_gone_on_with(page, home):
    page.open(f"{home}/runs/composer/read?length=6")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    page.wait("document.querySelectorAll('#result .main-svg').length > 0")
    page.click("#result .listen")
    page.wait("document.querySelector('#said').innerText.endsWith('seconds of music.')")
    before = page.run("document.querySelector('#text').value.split('\\n').length")
    page.run("[...document.querySelectorAll('#result button')].at(1).click()")
    page.wait(f"document.querySelector('#text').value.split('\\n').length > {before}")
    names = page.run("[...document.querySelectorAll('#result a')].map((a) => a.download)")
    assert names[:2] == ["composed.mid", "composed.json"]
    saved = page.run("decodeURIComponent(document.querySelectorAll('#result a')[1].href)")
    assert isinstance(json.loads(saved.partition(",")[2]), list)


def test_writing_can_be_stopped(page, home):
    page.open(f"{home}/runs/lm/write")
    page.set("[name=length]", "5000")
    page.click("#write")
    page.wait("document.querySelectorAll('#plain [data-at]').length > 3")
    page.click("#stop")
    page.wait("document.querySelector('#said').innerText.startsWith('Stopped after')")
    assert page.run("document.querySelectorAll('#plain [data-at]').length") < 5000
    assert not page.run("document.querySelector('#on').disabled")


def test_inside_and_diagrams_are_shown(page, home):
    page.open(f"{home}/runs/lm/inside?text=to+be%2C+or+not")
    page.wait("document.querySelectorAll('#found .main-svg').length >= 2")
    assert "gradients" in page.text("#found")
    page.open(f"{home}/runs/lm/diagrams")
    assert page.run("document.querySelectorAll('main svg').length") == 3


VIEWS = ["", "/runs/lm", "/runs/lm/read", "/runs/lm/write", "/runs/lm/inside", "/runs/lm/diagrams"]
VIEWS += [f"/runs/{key}/read" for key in ("captioner", "composer", "forecaster", "translator")]


@pytest.mark.parametrize("view", VIEWS)
def test_pages_fit_a_telephone_and_everything_has_a_name_and_a_place(page, home, view):
    page.size(390, 844)
    page.open(home + view)
    if (view.endswith(("read", "inside")) and "translator" not in view) or not view:
        page.wait("document.querySelector('.main-svg') !== null")
    assert page.run("document.documentElement.scrollWidth") <= 390
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {}
    for node in tree:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            roles.setdefault(node.get("role", {}).get("value"), []).append(name)
    assert len(roles["main"]) == len(roles["banner"]) == 1
    for role in (
        "button",
        "link",
        "textbox",
        "spinbutton",
        "slider",
        "combobox",
        "checkbox",
        "img",
    ):
        assert all(name.strip() for name in roles.get(role, [])), role
    levels = page.run("[...document.querySelectorAll('h1, h2')].map((h) => h.tagName)")
    assert levels[0] == "H1"
    assert levels.count("H1") == 1
    assert page.run("document.documentElement.lang") == "en"


def test_the_keyboard_reaches_and_moves_everything(page, home):
    page.open(f"{home}/runs/lm/read?text=to+be")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    reached = []
    for _ in range(45):
        page.press("Tab")
        reached.append(
            page.run("(({id, name, className}) => id || name || className)(document.activeElement)")
        )
    assert reached[0] == "skip"
    wanted = ["theme", "text", "add-hold", "layer", "name", "unit", "hold-this"]
    wanted += ["coloured", "before", "play", "after", "step"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    outline = page.run(
        "(() => { const e = document.querySelector('#step'); e.focus();"
        "return getComputedStyle(e).outlineStyle; })()"
    )
    assert outline == "solid"
    page.press("Home")
    assert page.text("#where").startswith("After 0: t")
    page.press("ArrowRight")
    assert page.text("#where").startswith("After 1: o")


CONTRAST = """(selector) => {
  const e = document.querySelector(selector);
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  let behind = null;
  for (let at = e; at && !behind; at = at.parentElement) {
    const found = parse(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] === 1) behind = found;
  }
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


def contrast(page, selector):
    """Of an element's letters to what is behind them; WCAG 2.1 asks for 4.5 to 1."""
    return page.run(f"({CONTRAST})({json.dumps(selector)})")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_can_be_read(page, home, dark):
    page.size(1280, 900, dark=dark)
    page.open(f"{home}/runs/lm/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    assert page.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    for selector in ("h1", ".hint", "a", "button.main", "td", "#theme", "textarea"):
        assert contrast(page, selector) >= 4.5, selector


def test_the_button_turns_the_colours_and_is_remembered(page, home):
    page.open(home)
    page.wait("document.querySelector('#plot .main-svg') !== null")
    before = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("document.documentElement.dataset.theme") == "dark"
    assert page.run("getComputedStyle(document.body).backgroundColor") != before
    page.wait("document.querySelector('#plot .xtitle').style.fill === 'rgb(230, 233, 238)'")
    page.open(f"{home}/runs/lm")
    assert page.run("document.documentElement.dataset.theme") == "dark"
    page.click("#theme")
    assert page.run("document.documentElement.dataset.theme") == "light"


def test_a_studio_that_does_not_answer_is_missed(page, home):
    page.open(f"{home}/runs/lm/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    away = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", offline=True, **away)
    page.click("#ask .main")
    page.wait("document.querySelector('#problem').innerText.includes('Is it still running')")
    page.problems.clear()
    page.call("Network.emulateNetworkConditions", offline=False, **away)
    page.click("#ask .main")
    page.wait("document.querySelector('#problem').hidden")


def test_a_run_that_is_deleted_while_its_page_is_open_is_missed(page, home, folder):
    shutil.copytree(folder / "lm", folder / "gone")
    page.open(f"{home}/runs/gone/read")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    shutil.rmtree(folder / "gone")
    page.click("#ask .main")
    page.wait("document.querySelector('#problem').innerText.startsWith(\"There is no run 'gone'\")")
    page.problems.clear()


def test_both_probabilities_are_seen_where_units_are_held(page, home):
    page.open(f"{home}/runs/lm/write")
    page.set("[name=length]", "5")
    shown = "getComputedStyle(document.querySelector('#answers th.held')).display"
    page.click("#write")
    page.wait("document.querySelector('#said').innerText === '5 tokens.'")
    assert page.run(shown) == "none"
    hold(page, 1, "2", 0, 5)
    page.click("#write")
    page.wait("document.querySelector('#said').innerText.startsWith('5 tokens. ')")
    assert page.run(shown) == "table-cell"


def test_names_that_look_like_tags_are_drawn_as_they_are(page, home, folder):
    shutil.copytree(folder / "classifier", folder / "tags")
    with (folder / "tags" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 99, "<b>bold</b>": 1.0}) + "\n")
    page.open(home)
    page.wait("document.querySelector('#plot .main-svg') !== null")
    page.set("[name=measure][value='<b>bold</b>']", True)
    titles = "[...document.querySelectorAll('#plot text[class$=title]')].map((t) => t.textContent)"
    page.wait(f"{titles}.includes('<b>bold</b>')")
    shutil.rmtree(folder / "tags")
    page.open(f"{home}/runs/tagger/read?text=a+%3Ci%3Eb")
    page.wait("document.querySelector('#heat .main-svg') !== null")
    ticks = (
        "[...document.querySelectorAll('#heat .xtick text')].map((t) => t.textContent).join(' ')"
    )
    assert page.run(ticks) == "a < i > b"
    assert page.run("document.querySelector('#coloured').textContent") == "a <i>b"
