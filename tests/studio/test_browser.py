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
from browser import Browser, find_browser

import ostinato

pytestmark = pytest.mark.skipif(
    find_browser() is None and not os.environ.get("OSTINATO_BROWSER"),
    reason="no Chromium is installed (Debian: apt-get install chromium); with OSTINATO_BROWSER=1 "
    "that is an error",
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
    page.click("#ask button")
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
    page.set("#look [name=layer]", "0/0")
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
    page.click("#ask button")
    page.wait("document.querySelector('#problem').innerText.includes('not in the training text')")
    assert page.run("document.querySelector('#found').hidden")
    # the browser notes the refusal in its console
    assert len(page.problems) == 1
    page.problems.clear()
    page.set("#text", "to be")
    page.click("#ask button")
    page.wait(
        "document.querySelector('#problem').hidden && !document.querySelector('#found').hidden"
    )


@pytest.mark.parametrize(("key", "question"), [("tagger", "tag"), ("classifier", "label so far")])
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


def test_a_held_unit_is_shown_beside_the_text_as_it_is(page, home):
    page.open(f"{home}/runs/lm/write")
    page.set("[name=length]", "60")
    assert page.run("document.querySelector('#held-part').hidden")
    page.set("[name=state]", "2")
    page.set("[name=hold]", True)
    page.set("[name=value]", "5")
    page.click("#write")
    page.wait("document.querySelector('#said').innerText.includes('the text parts at token')")
    plain, held = (
        page.run(f"document.querySelector('{name}').textContent") for name in ("#plain", "#held")
    )
    assert plain != held
    assert page.run("document.querySelectorAll('#held .other').length") > 0
    assert "the unit was between" in page.text("#range")
    page.click("#plain [data-at='0']")
    assert page.text("#where").startswith("For token 0, which became")


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


@pytest.mark.parametrize("view", VIEWS)
def test_pages_fit_a_telephone_and_everything_has_a_name_and_a_place(page, home, view):
    page.size(390, 844)
    page.open(home + view)
    if view.endswith(("read", "inside")) or not view:
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
    for _ in range(40):
        page.press("Tab")
        reached.append(
            page.run("(({id, name, className}) => id || name || className)(document.activeElement)")
        )
    assert reached[0] == "skip"
    wanted = ["theme", "text", "layer", "name", "unit", "before", "play", "after", "step"]
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
    page.click("#ask button")
    page.wait("document.querySelector('#problem').innerText.includes('Is it still running')")
    page.problems.clear()
    page.call("Network.emulateNetworkConditions", offline=False, **away)
    page.click("#ask button")
    page.wait("document.querySelector('#problem').hidden")
