import sys

import pytest

from ostinato.cli import run
from ostinato.studio import server


@pytest.fixture
def served(monkeypatch):
    """What would be served, and where."""
    seen = {}

    def serve(app, bound, *, ready=None):
        seen.update(app=app, port=bound.getsockname()[1], host=bound.getsockname()[0])
        bound.close()
        if ready is not None:
            ready()

    monkeypatch.setattr("ostinato.studio.server.serve", serve)
    return seen


def test_it_says_what_it_serves_and_where(served, fitted, capsys):
    assert run(["studio", str(fitted / "lm"), str(fitted / "tagger"), "--port", "0"]) == 0
    said = capsys.readouterr()
    assert said.out == f"2 runs at http://127.0.0.1:{served['port']} (Ctrl-C ends it)\nEnded.\n"
    assert said.err == ""
    assert served["host"] == "127.0.0.1"
    assert list(served["app"].state.library.runs()) == ["lm", "tagger"]


def test_without_a_name_the_folder_runs_is_shown_or_else_this_one(
    served, runs, monkeypatch, capsys
):
    monkeypatch.chdir(runs.parent)
    assert run(["studio", "--port", "0"]) == 0
    assert capsys.readouterr().out.startswith("8 runs at ")
    monkeypatch.chdir(runs / "lm")
    assert run(["studio", "--port", "0"]) == 0
    assert capsys.readouterr().out.startswith("1 run at ")


def test_the_next_port_is_taken_unless_one_is_named(served, fitted, monkeypatch, capsys):
    with server.listen("127.0.0.1", 0) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setattr(server, "PORT", port)
        assert run(["studio", str(fitted)]) == 0
        assert served["port"] > port
        assert run(["studio", str(fitted), "--port", str(port)]) == 2
    assert f"Port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


def test_beyond_this_machine_it_warns(served, fitted, capsys):
    assert run(["studio", str(fitted), "--host", "0.0.0.0", "--port", "0"]) == 0
    assert "There is no password" in capsys.readouterr().err
    assert served["host"] == "0.0.0.0"


def test_the_page_is_opened_if_asked_for(served, fitted, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run(["studio", str(fitted), "--port", "0"])
    assert opened == []
    run(["studio", str(fitted), "--port", "0", "--open"])
    assert opened == [f"http://127.0.0.1:{served['port']}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["--host", "no.such.name.invalid"], "there is no such name"),
        (["--port", "70000"], "--port must be in 0..65535"),
        (["--device", "abacus"], "--device abacus"),
    ],
)
def test_what_cannot_be_served_is_said(served, fitted, arguments, message, capsys):
    given = arguments if arguments == ["nowhere"] else [str(fitted), *arguments]
    assert run(["studio", *given]) == 2
    assert message in capsys.readouterr().err
    assert served == {}


def test_a_missing_extra_is_named(fitted, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(["studio", str(fitted)]) == 2
    assert 'pip install "ostinato[studio]"' in capsys.readouterr().err
