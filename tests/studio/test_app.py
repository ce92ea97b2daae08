import base64
import html
import json
import re
import shutil

import numpy as np
import pytest
from starlette.testclient import TestClient

from ostinato.studio.app import studio_app
from ostinato.studio.library import Library

HOME = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def app(library):
    return studio_app(library)


@pytest.fixture
def client(app):
    return TestClient(app, base_url=HOME)


def events(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]


def test_the_first_page_lists_all_runs_with_what_they_reached(client):
    page = client.get("/")
    assert page.status_code == 200
    for key in (
        "lm",
        "words",
        "tagger",
        "classifier",
        "forecaster",
        "translator",
        "captioner",
        "composer",
    ):
        assert f'<a href="/runs/{key}">{key}</a>' in page.text
    assert page.text.count('<tr data-run="') == 8
    assert '<th scope="row">model.cell</th>' in page.text
    assert 'name="measure" value="val_accuracy"' in page.text


def test_an_empty_folder_says_how_to_begin(tmp_path):
    client = TestClient(studio_app(Library([tmp_path])), base_url=HOME)
    page = client.get("/").text
    assert f"There is no run yet in {tmp_path}" in page
    assert f"ostinato fit text FILE --out {tmp_path}/first" in page
    first = client.get("/api/curves").json()
    assert first["runs"] == []
    again = client.get("/api/curves", params={"since": first["stamp"]}).json()
    assert again == {"stamp": first["stamp"]}


@pytest.mark.parametrize(
    ("key", "tabs"),
    [
        ("lm", ["About", "Read", "Write", "Inside", "Diagrams"]),
        ("tagger", ["About", "Read", "Inside", "Diagrams"]),
        ("forecaster", ["About", "Forecast", "Inside", "Diagrams"]),
        ("translator", ["About", "Translate", "Inside", "Diagrams"]),
        ("captioner", ["About", "Caption", "Inside", "Diagrams"]),
        ("composer", ["About", "Compose", "Inside", "Diagrams"]),
    ],
)
def test_a_run_has_the_views_of_its_task(client, key, tabs):
    page = client.get(f"/runs/{key}").text
    assert re.findall(r'<a href="/runs/\S+"[^>]*>(\w+)</a>', page) == tabs
    assert '<th scope="row">model.hidden_size</th>' in page
    assert '<th scope="row">training.seed</th>' in page


TASKS = ["lm", "tagger", "classifier", "translator", "captioner", "composer", "forecaster"]


@pytest.mark.parametrize("view", ["read", "write", "inside", "diagrams"])
@pytest.mark.parametrize("key", TASKS)
def test_every_view_of_every_task_is_a_page(client, key, view):
    page = client.get(f"/runs/{key}/{view}")
    assert page.status_code == 200
    assert re.search(rf"<title>{key}: \w+ · Ostinato studio</title>", page.text)
    offered = view != "write" or key == "lm"
    assert ("<form" in page.text or "<svg" in page.text) is offered
    if not offered:
        assert "continues no text; only a language model does. Its own view is" in page.text


@pytest.mark.parametrize("key", TASKS)
def test_the_form_of_every_task_begins_with_what_can_be_answered(client, key):
    page = client.get(f"/runs/{key}/read").text
    text = html.unescape(re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.S)[1])
    answer = client.post(f"/api/runs/{key}/read", json={"text": text})
    if key == "translator":
        # its few words are not those of the example
        assert text == "a man is standing ."
    assert answer.status_code == 200, answer.text
    assert answer.json()["plain"]["axes"][0]["tokens"]
    states = json.loads(html.unescape(re.search(r'data-states="([^"]*)"', page)[1]))
    assert states[-1]["units"] >= 4
    assert "layer 0" in states[0]["words"]


def test_diagrams_are_drawn_with_their_words(client):
    page = client.get("/runs/lm/diagrams").text
    assert page.count("<svg") == 3
    assert "One step of LSTM" in page


def test_a_text_in_the_address_is_in_the_page_and_escaped(client):
    page = client.get("/runs/lm/read", params={"text": "<b>be</b>"}).text
    assert "&lt;b&gt;be&lt;/b&gt;" in page
    assert "<b>be" not in page


def test_a_page_loads_nothing_from_elsewhere_and_forbids_it(client):
    for path in ("/", "/runs/lm/read", "/runs/lm/write", "/runs/lm/inside", "/runs/lm/diagrams"):
        answer = client.get(path)
        addresses = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert addresses
        assert all(address.startswith(("/", "#")) for address in addresses)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        # such a policy lets no script stand in the page itself
        assert not re.findall(r"<script(?![^>]*src=)", answer.text)
        assert " onclick=" not in answer.text


@pytest.mark.parametrize(
    ("path", "kind", "least"),
    [
        ("/static/studio.css", "text/css", 2_000),
        ("/static/theme.js", "text/javascript", 500),
        ("/static/read.js", "text/javascript", 2_000),
        ("/static/icon.svg", "image/svg+xml", 100),
        ("/static/plotly.min.js", "text/javascript", 1_000_000),
    ],
)
def test_files_of_the_pages(client, path, kind, least):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert len(answer.content) > least


# learning curves


def test_curves_follow_what_is_asked(client):
    plain = client.get("/api/curves").json()
    assert [run["key"] for run in plain["runs"]] == list(client.app.state.library.runs())
    assert all(run["status"] == "finished" for run in plain["runs"])

    def lines(**asked):
        return client.get("/api/curves", params=asked).json()["figure"]

    assert lines(axis="tokens")["data"] != plain["figure"]["data"]
    assert lines(scale="log")["layout"]["yaxis"]["type"] == "log"
    assert len(lines(smoothing="0.9")["data"]) > len(plain["figure"]["data"])
    assert len(lines(measures="loss,val_accuracy")["layout"]) > len(plain["figure"]["layout"])
    hidden = client.get("/api/curves", params={"hidden": "lm,words"}).json()
    assert not any(t["name"].startswith("lm") for t in hidden["figure"]["data"])
    assert hidden["differing"]["heads"] == ["setting", *sorted({*TASKS} - {"lm"})]


def test_curves_are_sent_again_only_when_something_is_new(runs):
    client = TestClient(studio_app(Library([runs / "lm"])), base_url=HOME)
    first = client.get("/api/curves").json()
    again = client.get("/api/curves", params={"since": first["stamp"]}).json()
    assert again == {"stamp": first["stamp"]}
    with (runs / "lm" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 80, "loss": 1.25}) + "\n" + '{"step": 100, "lo')
    third = client.get("/api/curves", params={"since": first["stamp"]}).json()
    (row,) = third["runs"]
    assert (row["step"], row["loss"], row["status"]) == (80, 1.25, "running")


# reading


def test_reading_and_viewing(client):
    told = client.post("/api/runs/lm/read", json={"text": "to be\r\nor"}).json()
    row = told["plain"]
    assert told["held"] is None
    (axis,) = row["axes"]
    assert "".join(axis["pieces"]) == "to be\nor"
    assert len(axis["tokens"]) == len(row["answers"]) == len(row["surprise"]) == 8
    assert (row["question"], row["cut"]) == ("Which token comes next?", "")
    chosen = {"layer": "stack.1", "direction": 0, "name": "h", "kind": "state", "units": 8}
    assert told["chosen"] == {**chosen, "axis": 0, "words": "layer 1"}
    first = client.post("/api/runs/lm/view", json={"text": "to be\nor"}).json()
    assert (first["layer"], first["name"], first["unit"]) == ("stack.1", "h", 0)
    assert len(first["values"]) == 8
    assert first["figure"]["data"][0]["z"]["shape"] == "8, 8"
    assert first["figure"]["layout"]["xaxis"]["title"]["text"] == "tokens read"
    spreads = [
        np.std(
            client.post("/api/runs/lm/view", json={"text": "to be\nor", "unit": k}).json()["values"]
        )
        for k in range(8)
    ]
    assert first["lively"] == np.argsort(spreads)[::-1][:5].tolist()
    seen = {str(first["values"])}
    for choice in (
        {"unit": 1},
        {"name": "c"},
        {"layer": "stack.0"},
        {"name": "f"},
        {"text": "to see"},
    ):
        asked = {"text": "to be\nor", **choice}
        found = client.post("/api/runs/lm/view", json=asked)
        if choice == {"text": "to see"}:
            assert len(found.json()["values"]) == 6
        seen.add(str(found.json()["values"]))
    assert len(seen) == 6
    bare = client.post("/api/runs/lm/view", json={"text": "to be", "figure": False}).json()
    assert "figure" not in bare


def test_the_other_direction_can_be_looked_at(client):
    asked = {"text": "Time flies.", "layer": "stack.0", "name": "h"}
    there, back = (
        client.post("/api/runs/tagger/view", json={**asked, "direction": d}).json() for d in (0, 1)
    )
    assert there["values"] != back["values"]


def test_answers_with_units_held_stand_beside_those_without(client):
    holds = [
        {"layer": "stack.0", "direction": 0, "name": "h", "unit": 1, "value": 2},
        {"layer": "stack.1", "name": "c", "unit": 3, "value": -1.5},
    ]
    asked = {"text": "to be", "holds": holds}
    told = client.post("/api/runs/lm/read", json=asked).json()
    assert told["plain"]["answers"] != told["held"]["answers"]
    assert told["plain"]["axes"] == told["held"]["axes"]
    values = {
        held: client.post(
            "/api/runs/lm/view",
            json={**asked, "held": held, "layer": "stack.1", "name": "c", "unit": 3},
        ).json()["values"]
        for held in (False, True)
    }
    assert set(values[True]) == {-1.5}
    assert -1.5 not in values[False]
    one = client.post("/api/runs/lm/read", json={**asked, "holds": holds[:1]}).json()
    assert one["held"]["answers"] != told["held"]["answers"]
    free, held = (
        client.post("/api/runs/lm/inside", json={"text": "to be", "holds": h}).json()["sections"]
        for h in ([], holds)
    )
    assert free[0]["rows"] != held[0]["rows"]


def test_a_file_is_opened_into_the_form(client):
    content = base64.b64encode(b"[[60, 64], []]").decode()
    told = client.post("/api/runs/composer/open", json={"name": "a.json", "content": content})
    assert told.json() == {"text": "C4 E4\n-", "steps": 2}
    for key, fields, message in [
        ("composer", {"name": "a.json", "content": "?"}, "must be a file in base 64"),
        ("composer", {"name": "a.json", "content": ""}, "a.json is not JSON"),
        ("lm", {"name": "a.txt", "content": content}, "Nothing is read from files here"),
    ]:
        answer = client.post(f"/api/runs/{key}/open", json=fields)
        assert answer.status_code == 400
        assert message in answer.json()["error"]


def test_looking_inside(client):
    told = client.post("/api/runs/lm/inside", json={"text": "to be, or not"}).json()
    assert told["steps"] == 13
    flow, ends = told["sections"]
    assert [row[0] for row in flow["rows"]][:1] == ["layer 0, h"]
    assert any("gradients" in row[2] for row in flow["rows"])
    assert len(flow["figure"]["data"][0]["x"]) == 13
    assert len(ends["heads"]) == len(ends["rows"][0])


# writing


def test_writing_is_streamed_and_is_what_the_model_writes(client):
    asked = {"prompt": "to be", "length": 12, "temperature": 0.7, "seed": 5}
    *found, last = events(client.post("/api/runs/lm/write", json=asked))
    text = "".join(event["plain"]["text"] for event in found)
    model = client.app.state.library.load("lm").model
    assert text == model.generate("to be", 12, temperature=0.7, seed=5, include_prompt=False)
    assert last == {"end": "length", "parted": None}


def test_each_field_of_writing_is_heard(client):
    def told(**fields):
        asked = {"prompt": "to be", "length": 30, "seed": 0, **fields}
        return events(client.post("/api/runs/lm/write", json=asked))

    def spelled(found, row="plain"):
        return "".join(event[row]["text"] for event in found[:-1])

    plain = told()
    for fields in (
        {"temperature": 0.2},
        {"top_k": 1},
        {"top_p": 0.3},
        {"repetition_penalty": 3},
        {"seed": 1},
        {"length": 4},
        {"prompt": "or not"},
    ):
        assert spelled(told(**fields)) != spelled(plain), fields
    tokens = [event["plain"]["token"] for event in plain[:6]]
    assert spelled(told(written=tokens, length=24)) == spelled(plain)[6:]
    hold = {"layer": "stack.1", "name": "h", "unit": 0, "value": 3}
    held = told(holds=[hold], watch=[{"layer": "stack.1", "name": "h", "unit": 0}])
    assert spelled(held) == spelled(plain)
    assert spelled(held, "held") != spelled(plain)
    assert {event["held"]["value"] for event in held[:-1]} == {3.0}
    later = told(holds=[hold], hold_prompt=False)
    assert later[0]["held"]["top"] != held[0]["held"]["top"]


# what goes wrong


@pytest.mark.parametrize(
    ("path", "fields", "status", "message"),
    [
        ("lm/read", {"text": "Zebra"}, 422, "not in the training text"),
        ("lm/read", {"text": 3}, 400, "text must be text, got 3"),
        ("lm/read", {"text": "a" * 200_001}, 400, "Send 200,000 at most"),
        ("lm/view", {"text": "to", "unit": 8}, 422, "no unit 8. Choose one of 0..7"),
        ("lm/view", {"text": "to", "unit": "x"}, 400, "unit must be a whole number, got 'x'"),
        ("lm/view", {"text": "to", "name": "forget"}, 422, "Layer stack.1 has no 'forget'"),
        ("lm/view", {"text": "to", "layer": "stack.2"}, 422, "no layer 'stack.2'"),
        ("lm/view", {"text": "to", "layer": 2}, 400, "layer must be text, got 2"),
        ("lm/view", {"text": "to", "held": True}, 422, "No unit is held"),
        ("lm/read", {"text": "to", "holds": [{}] * 65}, 400, "Hold 64 at most"),
        ("lm/read", {"text": "to", "holds": [{"layer": "stack.0"}]}, 422, "no state ''"),
        ("lm/write", {"prompt": "to", "temperature": -1}, 422, "temperature must be"),
        ("lm/write", {"prompt": "to", "length": 0}, 422, "length must be"),
        (
            "lm/write",
            {"prompt": "to", "holds": [{"layer": "stack.0", "name": "h", "unit": 99}]},
            422,
            "no unit 99",
        ),
        ("lm/write", {"prompt": "to", "holds": "all"}, 400, "holds must be a list of objects"),
        ("lm/write", {"prompt": "to", "written": ["a"]}, 400, "a list of whole numbers"),
        ("lm/write", {"prompt": "to", "hold_prompt": 1}, 400, "true or false"),
        ("tagger/write", {"prompt": "to"}, 422, "only a language model continues texts"),
        ("forecaster/read", {"text": "to"}, 400, "pasted.csv has no column 'y'"),
        ("forecaster/inside", {"text": "t,y\n1,2\n2,3"}, 422, "The table has 2 row(s)"),
        ("lim/read", {"text": "to"}, 404, "Did you mean lm?"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(client, path, fields, status, message):
    answer = client.post(f"/api/runs/{path}", json=fields)
    assert answer.status_code == status
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/runs/lim", 404, "There is no run &#39;lim&#39; here. Did you mean lm?"),
        ("/runs/..%2f..%2fetc/read", 404, "There is no"),
        ("/nothing", 404, "There is no such page."),
        ("/api/curves?axis=years", 422, "The axis must be one of step, tokens, seconds"),
        ("/api/curves?smoothing=2", 422, "Smoothing must be"),
        ("/static/none.js", 404, "There is no such page."),
        ("/static/..%2fapp.py", 404, "There is no such page."),
        ("/api/runs/lm/read", 405, "That cannot be asked in this way."),
    ],
)
def test_addresses_that_lead_nowhere_say_so(client, path, status, message):
    answer = client.get(path)
    assert answer.status_code == status
    assert message in answer.text


def test_a_run_that_is_not_whole_is_explained(runs):
    (runs / "lm" / "tokenizer.json").unlink()
    client = TestClient(studio_app(Library([runs])), base_url=HOME)
    answer = client.get("/runs/lm/read")
    assert answer.status_code == 422
    assert "tokenizer.json is missing" in answer.text
    assert "unreadable" in client.get("/").text


def test_a_run_that_is_deleted_while_it_is_open_is_missed(runs):
    client = TestClient(studio_app(Library([runs])), base_url=HOME)
    assert client.post("/api/runs/lm/read", json={"text": "to be"}).status_code == 200
    shutil.rmtree(runs / "lm")
    for path in ("lm/read", "lm/view", "lm/inside", "lm/write"):
        answer = client.post(f"/api/runs/{path}", json={"text": "to be", "prompt": "to be"})
        assert answer.status_code == 404
        assert "There is no run 'lm' here" in answer.json()["error"]
    page = client.get("/runs/lm/read")
    assert page.status_code == 404
    assert "There is no run" in page.text
    assert [run["key"] for run in client.get("/api/curves").json()["runs"]].count("lm") == 0


def test_a_run_that_has_no_weights_yet_says_so_and_shows_its_settings(runs):
    (runs / "lm" / "model.safetensors").unlink()
    client = TestClient(studio_app(Library([runs])), base_url=HOME)
    about = client.get("/runs/lm")
    assert about.status_code == 200
    assert "model.hidden_size" in about.text
    for path in ("read", "write", "inside", "diagrams"):
        answer = client.get(f"/runs/lm/{path}")
        assert answer.status_code == 422
        assert "model.safetensors is missing" in answer.text


def test_what_a_run_says_of_itself_is_escaped(runs):
    evil = "<script>alert(1)</script>"
    folder = runs / f"{evil[:8]}"
    shutil.copytree(runs / "classifier", folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 99, evil: 1.0}) + "\n")
    client = TestClient(studio_app(Library([runs])), base_url=HOME)
    for path in ("/", "/runs/script", f"/runs/{evil}", "/runs/script/read?text=" + evil):
        page = client.get(path)
        assert "<script>" not in page.text.lower()
    assert "&lt;script&gt;alert(1)" in client.get("/").text
    told = client.get("/api/curves")
    assert told.headers["content-type"] == "application/json"
    assert told.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["get", "post"])
def test_requests_of_other_sites_are_refused(client, method):
    ask = getattr(client, method)
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}):
        answer = ask("/api/runs/lm/read", headers=headers)
        assert answer.status_code == 403
        assert "only the studio's own pages may ask" in answer.text
    for site in ("cross-site", "same-site"):
        answer = ask("/api/curves", headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"})
        assert answer.status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask("/", headers=link).status_code == (200 if method == "get" else 405)
    assert ask("/", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff"])
def test_a_body_that_is_no_object_is_refused(client, body):
    answer = client.post(
        "/api/runs/lm/read", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert "must be a JSON object" in answer.json()["error"]


def test_a_body_of_another_kind_or_without_end_is_refused(client):
    # what a form of another site could send without asking first
    answer = client.post("/api/runs/lm/read", content=b'{"text": "to"}')
    assert answer.status_code == 415
    long = json.dumps({"text": "a" * 24_100_000}).encode()
    answer = client.post(
        "/api/runs/lm/read", content=long, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


def test_a_fault_of_ours_is_called_one(app, monkeypatch):
    def fail(*arguments, **named):
        raise RuntimeError("a bolt came loose")

    monkeypatch.setattr("ostinato.studio.questions.read", fail)
    client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
    answer = client.post("/api/runs/lm/read", json={"text": "not read yet"})
    assert answer.status_code == 500
    assert "RuntimeError: a bolt came loose. This is a fault in Ostinato" in answer.json()["error"]
