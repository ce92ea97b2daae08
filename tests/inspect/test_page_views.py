"""Views of a page, as they are seen: nothing is cut, nothing stands on something else."""

import numpy as np
import pytest

from ostinato.inspect.gradient_flow import Flow
from ostinato.inspect.page import Answer, Axis, Material, Page, Track

WORDS = ("short", "words", "and", "then", "one-that-is-very-long-indeed")


def page_with(tmp_path, **given):
    steps = len(WORDS)
    # the walk ends at the right edge of its plane
    values = np.stack([np.linspace(-1, 1, steps), 0.1 * np.eye(steps)[2]], axis=1)
    norms = np.geomspace(1, 1e-6, steps)
    tracks = [
        Track(
            0, f"a.rather.long.name.{k}", 0, "c", "state", "",
            (values if k % 2 == 0 else -values).astype(np.float32), np.arange(2),
            Flow(f"{k}", 0, "c", norms * 10**k, norms[:, None], 0.1),
        )
        for k in range(given.pop("layers", 1))
    ]  # fmt: skip
    material = Material(
        "A page", "network", "What?", [Axis("words read", WORDS, " ")], tracks, **given
    )
    path = tmp_path / "page.html"
    Page(material).save(path)
    return path


@pytest.fixture
def opened(browser, tmp_path):
    def open_(width=1200, **given):
        browser.open(page_with(tmp_path, **given), width=width)
        # what is far below is laid out, too
        browser.run(
            "document.head.append(Object.assign(document.createElement('style'),"
            "{textContent: 'section {content-visibility: visible !important}'})); 0"
        )
        return browser

    yield open_
    assert browser.complaints() == []


def boxes(browser, selector):
    """Left, right, top and bottom of elements."""
    return browser.run(
        f"[...document.querySelectorAll({selector!r})].map((e) => {{"
        "const b = e.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; })"
    )


@pytest.mark.parametrize("width", [360, 1200])
def test_labels_of_a_path_stay_within_its_picture(opened, width):
    browser = opened(width)
    (picture,) = boxes(browser, "#plane-picture svg")
    texts = boxes(browser, "#plane-picture text")
    assert len(texts) == len(WORDS) + 2
    for left, right, top, bottom in texts:
        assert picture[0] - 1 <= left < right <= picture[1] + 1
        assert picture[2] - 1 <= top < bottom <= picture[3] + 1


@pytest.mark.parametrize("width", [360, 1200])
def test_heat_map_of_few_steps_fills_its_box_and_names_them(opened, width):
    browser = opened(width)
    (canvas,) = boxes(browser, "#heat-map")
    (box,) = boxes(browser, "#heat-box")
    assert canvas[1] - canvas[0] == pytest.approx(box[1] - box[0], abs=3)
    named = browser.run(
        "[...document.querySelectorAll('#heat-steps span')].map((e) => e.textContent)"
    )
    assert named[:4] == list(WORDS[:4])
    assert named[4].startswith("one-that-is-very")
    assert named[4].endswith("…")


@pytest.mark.parametrize("width", [360, 1200])
def test_names_of_many_layers_stand_below_the_gradients_and_not_on_them(opened, width):
    browser = opened(width, layers=10)
    picture, *_ = boxes(browser, "#flow-picture > svg")
    names = boxes(browser, "#flow-picture li")
    assert len(names) == 10
    assert all(top >= picture[3] - 1 for _, _, top, _ in names)
    assert all(right <= width for _, right, _, _ in names)
    # told apart by dashes where colours are used up
    looks = browser.run(
        "[...document.querySelectorAll('#flow-picture > svg path')].map((e) =>"
        "getComputedStyle(e).stroke + e.getAttribute('stroke-dasharray'))"
    )
    assert len(set(looks)) == 10


def test_letters_of_pictures_keep_their_size_on_a_telephone(opened):
    browser = opened(360)
    for place in ("plane", "flow"):
        (wide,) = browser.run(
            f"[...document.querySelectorAll('#{place}-picture > svg')].map((e) =>"
            "e.getBoundingClientRect().width / e.viewBox.baseVal.width)"
        )
        assert wide == pytest.approx(1, abs=0.02)


def answers(*truths):
    shares = (0.4, 0.9, 0.85, 0.95, 0.2)
    return [
        Answer(
            tuple(sorted({"yes": p, "no": 1 - p}.items(), key=lambda one: -one[1])),
            truth,
            None if truth is None else p,
        )
        for p, truth in zip(shares, truths, strict=True)
    ]


def test_what_came_next_is_marked_behind_its_step(opened):
    browser = opened(answers=answers("words", "and", "then", "one", None), truth="next")
    assert browser.text("chance-told").startswith("Probability given to what came, step by step")
    assert "surprised" in browser.text("answers")
    first = "document.querySelector('#surprises button')"
    assert browser.run(f"{first}.textContent").startswith("“words” got 40 %")
    assert browser.run(f"{first}.querySelector('b').textContent") == "words"


def test_what_was_chosen_is_marked_at_its_step(opened):
    browser = opened(answers=answers(*"abcde"), truth="chosen")
    assert browser.text("chance-told").startswith("Probability given to what was chosen")
    assert "least sure" in browser.text("answers")
    first = "document.querySelector('#surprises button')"
    assert browser.run(f"{first}.textContent").startswith("“e” got 20 %")
    assert browser.run(f"{first}.querySelector('b').textContent") == WORDS[4]


def test_of_the_whole_the_choice_at_the_end_is_followed(opened):
    browser = opened(answers=answers(*[None] * 5))
    # at the end "no" has 80 %
    assert browser.text("chance-told").startswith("Probability of “no”, the choice at the end")
    first = browser.run("document.querySelector('#surprises button').textContent")
    assert first.startswith("“no” went from 5.0 % to 80 %")
    assert browser.run("document.querySelectorAll('#surprises button').length") == 4


def test_tiny_shares_are_told_as_tiny(opened):
    some = [Answer((("a", p), ("b", 1e-9)), "a", p) for p in (0.9996, 0.99, 0.5, 0.012, 1e-6)]
    browser = opened(answers=some, truth="chosen")
    told = browser.run(
        "[...document.querySelectorAll('#surprises button')].map((e) => e.textContent)"
    )
    shares = [words.split(" got ")[1].split(" %")[0] for words in told]
    assert shares == ["< 0.01", "1.2", "50", "99.0", "100"]
