"""`ostinato classify`: the labels of texts, or of the rows of a table."""

from __future__ import annotations

import shlex
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.ask import device_of
from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.tasks.classifier.task import Classifier

__all__ = ["classify"]

_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


def classify(
    run: RunFolder,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="Texts; or files: tables as fit takes them (no labels needed), or plain text with "
            'a row a line ("-" is standard input: lines, or CSV for a model of numbers).',
            show_default=False,
        ),
    ],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Say how probable every label is.")
    ] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Classify rows: label TAB probability TAB row, a line each."""
    from ostinato.tasks.classifier.task import Classifier

    model = Classifier.load(run).to(device_of(device))
    following = f"ostinato eval {shlex.quote(str(run))} FILE"
    found = []
    for what, told in _answers(model, sources):
        label = model.best(told)
        every = dict(zip(model.labels, told.tolist(), strict=True))
        if as_json:
            found.append({"row": what, "label": label, "probabilities": every})
            continue
        names = (label,) if isinstance(label, str) else label
        first = ", ".join(names) if names else "(none)"
        if probabilities:
            ranked = sorted(every.items(), key=lambda entry: -entry[1])
            share = " ".join(f"{name}={p:.4f}" for name, p in ranked)
        else:
            share = " ".join(f"{every[name]:.4f}" for name in names)
        say(f"{first}\t{share}\t{what}")
    if as_json:
        say_json({"run": str(run), "rows": found, "next": following})
        return
    say_next(following, why="score it on rows whose labels are known")


def _answers(model: Classifier, sources: list[str]) -> Iterator[tuple[str, Any]]:
    import numpy as np

    texts = bool(model.coder.inputs.tokens)
    for source in sources:
        table = Path(source).is_file() and _is_table(source)
        if table or not texts:
            for rows, told in model.read(source):
                for k, row in enumerate(told):
                    one = rows.inputs[k]
                    yield (one if isinstance(one, str) else rows.where(k)), row
            continue
        lines = _lines(source)
        waiting: deque[str] = deque()

        def read(lines: Iterator[str] = lines, waiting: deque[str] = waiting) -> Iterator[str]:
            for line in lines:
                waiting.append(line)
                yield line

        for row in model.stream(read(), probabilities=True):
            yield waiting.popleft(), np.array(list(row.values()), dtype=np.float32)


def _is_table(source: str) -> bool:
    return source.lower().removesuffix(".gz").endswith(_TABLES)


def _lines(source: str) -> Iterator[str]:
    """Rows of plain text; empty lines are passed over."""
    if source == "-":
        yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
    elif Path(source).is_file():
        from ostinato.data.text import read_documents

        text = read_documents(Path(source))[0].text
        yield from (line for line in text.splitlines() if line.strip())
    else:
        yield source
