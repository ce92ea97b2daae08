"""`ostinato tag`: the tags of a text's words."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.ask import device_of
from ostinato.cli.options import AsJson, Device, RunFolder
from ostinato.cli.output import say, say_json, say_next

if TYPE_CHECKING:
    from ostinato.data.tags import Sentence

__all__ = ["tag"]


_SUFFIXES = (".conllu", ".gz", ".tsv", ".txt")


class Split(str, Enum):
    """Where plain text is cut into words."""

    punctuation = "punctuation"
    blanks = "blanks"


def tag(
    run: RunFolder,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="Sentences; or files: CoNLL-U, word TAB tag, or plain text with a sentence a line "
            '("-" is standard input).',
            show_default=False,
        ),
    ],
    split: Annotated[
        Split, typer.Option(help="Where plain text is cut: around each sign, or at blanks only.")
    ] = Split.punctuation,
    conllu: Annotated[
        bool,
        typer.Option("--conllu", help="Write CoNLL-U; what else a CoNLL-U file says is kept."),
    ] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Tag the words of sentences: word TAB tag, an empty line between sentences."""
    from ostinato.data.tags import conllu_lines
    from ostinato.tasks.tagger.task import Tagger

    if conllu and as_json:
        raise typer.BadParameter("give --conllu or --json, not both.", param_hint="--conllu")
    model = Tagger.load(run).to(device_of(device))
    waiting: deque[Sentence] = deque()

    def words() -> Iterator[tuple[str, ...]]:
        for sentence in _sentences(texts, split.value):
            waiting.append(sentence)
            yield sentence.words

    following = f"ostinato eval {shlex.quote(str(run))} FILE"
    found = []
    for first, tagged in enumerate(model.stream(words())):
        sentence = waiting.popleft()
        if as_json:
            found.append([{"word": word, "tag": label} for word, label in tagged])
            continue
        if first and not conllu:
            say()
        if conllu:
            labels = [label for _, label in tagged]
            for line in conllu_lines(sentence, labels, column=model.settings.data.column):
                say(line)
            say()
        else:
            for pair in tagged:
                say("\t".join(pair))
    if as_json:
        say_json({"run": str(run), "sentences": found, "next": following})
        return
    say_next(following, why="score it on sentences whose tags are known")


def _sentences(texts: list[str], split: str) -> Iterator[Sentence]:
    from ostinato.data.tags import Sentence, TagError, numbered_lines, read_sentences
    from ostinato.data.words import cut_words

    for text in texts:
        if text != "-" and not Path(text).is_file():
            _check_no_file(text)
            lines: Iterator[tuple[int, str]] = enumerate(text.splitlines(), start=1)
            name = "text"
        else:
            name = text
            if text != "-" and _has_columns(text):
                yield from read_sentences(text, tagged=False, keep=True)
                continue
            lines = numbered_lines(text)
        found = False
        for number, line in lines:
            cut = tuple(cut_words(line, split))
            if cut:
                found = True
                yield Sentence(cut, name=f"{name}, line {number}")
        if not found:
            raise TagError(f"{name}: there is no word in it. Give a sentence, or name a file.")


def _check_no_file(text: str) -> None:
    """See that what is no file was not meant as one, which would be tagged as a word."""
    path = Path(text)
    if not any(sign.isspace() for sign in text) and (
        len(path.parts) > 1 or path.suffix.lower() in _SUFFIXES
    ):
        raise FileNotFoundError(f"There is no file {text}. Check the name.")


def _has_columns(path: str) -> bool:
    from ostinato.data.tags import numbered_lines

    rows = (line for _, line in numbered_lines(path) if line.strip() and line[0] != "#")
    return "\t" in next(rows, "")
