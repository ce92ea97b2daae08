"""The page in a browser, through what a person would do with it."""

import numpy as np
import pytest

import ostinato as ost
from ostinato.inspect.page import Answer, Attention, Axis, Material, Page, Track, page_of_model

TEXT = 'he said "go on" and "come back" twice'


def values():
    """Unit 2 is on inside quotes, unit 0 counts down, unit 1 does nothing."""
    inside, on = [], -1.0
    for sign in TEXT:
        on = -on if sign == '"' else on
        inside.append(on)
    steps = np.linspace(0.9, -0.9, len(TEXT))
    table = np.stack([steps, np.zeros(len(TEXT)), 0.95 * np.array(inside)], axis=1)
    return table.astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    gates = 1 / (1 + np.exp(-3 * values()))
    units = np.array([4, 7, 9])
    tracks = [
        Track(0, "0", 0, "h", "state", "", values(), units),
        Track(0, "0", 0, "f", "gate", "sigmoid", gates.astype(np.float32), units),
        Track(1, "1", 0, "h", "state", "", np.eye(3, dtype=np.float32), np.arange(3)),
    ]
    axes = [Axis("tokens read", tuple(TEXT)), Axis("written", ("x", "y", "z"), " ")]
    answers = [Answer((("a", 0.75), (" ", 0.25)), " ", 0.25 + 0.01 * k) for k in range(len(TEXT))]
    look = Attention("attention", np.eye(3, dtype=np.float32), ("x", "y", "z"), ("u", "v", "w"))
    material = Material("A page", "language model", "What comes?", axes, tracks, answers)
    material.attention.append(look)
    material.spectra.append(("layer 0, step 1", np.array([0.5 + 0.5j, 2.0]), "two eigenvalues"))
    material.whole.append("all in all")
    path = tmp_path_factory.mktemp("page") / "page.html"
    Page(material).save(path)
    return path


@pytest.fixture
def page(browser, file):
    browser.open(file)
    yield browser
    assert browser.complaints() == []


SPAN = "document.querySelector('[data-t=\"{}\"]')"


def colour(page, step):
    return page.run(f"getComputedStyle({SPAN.format(step)}).backgroundColor")


def marked(page, name):
    return page.run(f"[...document.querySelectorAll('.{name}')].map((e) => Number(e.dataset.t))")


def test_nothing_is_asked_for_but_the_page(page, file):
    assert page.requests() == [f"file://{file}"]


def test_unit_that_varies_most_colours_the_text_at_first(page):
    assert "unit 9" in page.text("legend")
    # orange inside quotes, blue outside
    assert colour(page, TEXT.index("go")).startswith("rgba(213, 94, 0")
    assert colour(page, 0).startswith("rgba(0, 114, 178")


def test_another_unit_colours_the_text(page):
    before = colour(page, len(TEXT) - 1)
    page.choose("unit", "0")
    assert "unit 4" in page.text("legend")
    # it counts down, from orange to blue
    assert colour(page, 0).startswith("rgba(213, 94, 0")
    assert colour(page, len(TEXT) - 1).startswith("rgba(0, 114, 178")
    page.choose("unit", "1")
    # it does nothing
    assert colour(page, len(TEXT) - 1) == colour(page, 0) != before
    page.click("document.getElementById('unit-next')")
    assert "unit 9" in page.text("legend")
    page.click("document.getElementById('unit-back')")
    assert "unit 7" in page.text("legend")


def test_colours_reach_to_the_largest_of_the_unit(page):
    page.choose("unit", "0")
    all_units = colour(page, 0)
    page.choose("scale", "own")
    assert colour(page, 0) != all_units


def test_same_unit_of_a_gate_is_kept(page):
    page.choose("track", "1")
    assert page.text("legend").startswith("0.00")
    assert "f, layer 0, unit 9" in page.text("legend")


def test_step_is_chosen_by_slider_click_and_keys(page):
    page.choose("step", "8")
    assert page.text("told").startswith('Step 9 of 37, “"”: h, layer 0, unit 9 is 0.95')
    page.click(SPAN.format(3))
    assert page.text("told").startswith("Step 4 of")
    page.run("document.getElementById('step').focus()")
    page.press("ArrowRight", 39)
    assert page.text("told").startswith("Step 5 of")
    page.run("document.getElementById('heat-map').focus()")
    page.press("ArrowLeft", 37)
    assert page.text("told").startswith("Step 4 of")
    page.press("ArrowUp", 38)
    assert "unit 7" in page.text("heat-told")


def test_choices_follow_the_step(page):
    page.choose("step", "2")
    assert "After step 3" in page.text("choices")
    assert "75 %" in page.text("choices")
    assert "␣ ←" in page.text("choices")


def test_surprises_lead_to_their_steps(page):
    page.click("document.querySelector('#surprises button')")
    assert page.text("told").startswith("Step 1 of")


def test_heat_map_chooses_unit_and_step(page):
    page.choose("order", "spread")
    page.click("document.getElementById('heat-map')")
    assert page.text("told").startswith("Step 19 of")
    assert "unit 4" in page.text("heat-told")
    label = page.run("document.getElementById('heat-map').getAttribute('aria-label')")
    assert label == "Heat map of h, layer 0: 3 units by 37 steps. Unit 9 varies most."


def test_dragging_marks_a_span_and_finds_where_else_its_units_are_on(page):
    first, second = TEXT.index("go"), TEXT.index("come")
    page.choose("threshold", "60")
    page.mouse("mousePressed", SPAN.format(first))
    page.mouse("mouseReleased", SPAN.format(first + 4))
    assert marked(page, "mark") == list(range(first, first + 5))
    assert "1 of 3 units of h, layer 0 are on throughout" in page.text("marked")
    assert page.text("on") == "9 +"
    assert f"steps {second} to {second + 9}" in page.text("places")
    assert second + 3 in marked(page, "match")
    page.click("document.querySelector('#places button')")
    assert page.text("told").startswith(f"Step {second} of")
    page.click("document.getElementById('unmark')")
    assert marked(page, "mark") == marked(page, "match") == []


def test_span_is_marked_by_numbers_too(page):
    page.choose("from", "2")
    assert marked(page, "mark") == [1]
    page.choose("to", "4")
    assert marked(page, "mark") == [1, 2, 3]
    page.choose("from", "99")
    assert marked(page, "mark") == [len(TEXT) - 1]
    page.choose("threshold", "95")
    assert "units of h" in page.text("marked")


def test_layer_with_other_steps_brings_its_own(page):
    page.choose("track", "2")
    assert page.text("tokens") == "x y z"
    assert page.run("document.getElementById('step').max") == "2"
    page.click("document.querySelector('#surprises button')")
    assert page.text("tokens").startswith("he said")


def test_pictures_have_names_and_words(page):
    named = "e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')"
    all_named = f"[...document.querySelectorAll('[role=img]')].every((e) => {named})"
    assert page.run(all_named) is True
    assert page.run("document.querySelectorAll('#plane-picture polyline').length") == 12
    assert "of its variance" in page.text("plane-told")
    assert page.run("document.querySelectorAll('#spectrum-picture circle').length") == 3


def test_attention_is_a_table(page):
    cells = "[...document.querySelectorAll('#looks th, #looks td')].map((e) => e.textContent)"
    head, *rest = page.run(cells)
    assert head == "written ↓ read →"
    first, second, third = ["x", "1", "", ""], ["y", "", "1", ""], ["z", "", "", "1"]
    assert rest == ["u", "v", "w", *first, *second, *third]


def test_every_control_can_be_reached_and_seen_by_keyboard(page):
    controls = "[...document.querySelectorAll('button, select, input, a, [tabindex]')]"
    deaf = "(e) => { e.focus(); return document.activeElement !== e; }"
    hidden = f"{controls}.filter({deaf}).map((e) => e.outerHTML)"
    assert page.run(hidden) == []
    page.run("document.getElementById('unit-next').focus()")
    page.press("Tab", 9)
    style = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert (page.run("document.activeElement.id"), style) == ("unit-most", "solid")


def paper(page):
    return page.run("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_follow_the_system_and_the_switch(browser, file):
    browser.open(file)
    assert paper(browser) == "rgb(255, 255, 255)"
    browser.open(file, dark=True)
    assert paper(browser) == "rgb(21, 24, 28)"
    switch = "document.getElementById('theme')"
    browser.click(switch)
    assert (browser.text("theme"), paper(browser)) == ("Theme: light", "rgb(255, 255, 255)")
    browser.click(switch)
    assert (browser.text("theme"), paper(browser)) == ("Theme: dark", "rgb(21, 24, 28)")
    browser.click(switch)
    assert browser.text("theme") == "Theme: as the system"
    assert browser.complaints() == []


def contrast(page, selector):
    """Of letters on the page's paper, as WCAG 2 has it."""
    script = f"getComputedStyle(document.querySelector({selector!r})).color"
    lights = []
    for text in (page.run(script), paper(page)):
        parts = [int(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out(browser, file, dark):
    browser.open(file, dark=dark)
    for selector in ("body", ".hint", "nav a", "caption"):
        assert contrast(browser, selector) >= 4.5, selector


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
def test_page_fits_its_window(browser, file, width, dark):
    browser.open(file, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.picture().startswith(b"\x89PNG")
    assert browser.complaints() == []


def test_page_of_a_real_model_opens(browser, tmp_path):
    text = "to be, <b>or</b> not to be\n" * 20
    lm = ost.LanguageModel.fit(
        text, hidden_size=4, num_layers=2, max_steps=2, batch_size=2, progress=False
    )
    page_of_model(lm, "to be, <b>or</b> not\n to be").save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", width=360)
    assert browser.complaints() == []
    assert "<b>or</b>" in browser.text("tokens")
    assert browser.run("document.querySelectorAll('.ostinato-diagram').length") == 3
    assert browser.run("document.querySelectorAll('#flow-picture > svg path').length") == 4
    key = "[...document.querySelectorAll('#flow-picture li')].map((e) => e.textContent.trim())"
    assert browser.run(key) == [f"{name}, layer stack.{k}" for k in (0, 1) for name in "hc"]
    assert browser.run("document.documentElement.scrollWidth") <= 360
