"""`ostinato embed`, `nearest` and `analogy`: words as vectors."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.options import AsJson
from ostinato.cli.output import say, say_beside, say_json, say_next, say_table

__all__ = ["analogy", "embed", "nearest"]

Vectors = Annotated[
    Path,
    typer.Argument(
        metavar="VECTORS", help="File of vectors: GloVe's or word2vec's.", show_default=False
    ),
]
Count = Annotated[int, typer.Option(min=1, help="How many words to name.")]


class Method(str, Enum):
    """How vectors are fitted."""

    glove = "glove"
    word2vec = "word2vec"


def embed(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help='Text files, gz archives or folders of them; "-" is standard input.',
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="File to write; .bin is word2vec's binary format.")
    ] = Path("vectors.txt"),
    method: Annotated[Method, typer.Option(help="How they are fitted.")] = Method.glove,
    size: Annotated[int, typer.Option(min=1, help="Width of a vector.")] = 100,
    vocabulary: Annotated[
        int | None, typer.Option(min=2, help="Words at most, the most frequent.")
    ] = None,
    min_count: Annotated[int, typer.Option(min=1, help="Rarer words get no vector.")] = 5,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="The farthest neighbour. \\[default: 10 of glove, 5 of word2vec]"),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the counts or text. \\[default: 25 of glove, 5 of word2vec]"
        ),
    ] = None,
    lower: Annotated[bool, typer.Option(help="Read all in lower case.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit vectors to the words of a text, for --embeddings of a task or to look at."""
    from ostinato.tasks.word_vectors import fit_vectors

    def watch(epoch: int, loss: float) -> None:
        say_beside(f"pass {epoch + 1}: loss {loss:.4f}")

    vectors = fit_vectors(
        files,
        method=method.value,
        dimensions=size,
        min_count=min_count,
        size=vocabulary,
        window=window,
        epochs=epochs,
        lower=lower,
        seed=seed,
        watch=watch,
    )
    vectors.save(out)
    # signs are frequent, but nothing to look for
    word = next((word for word in vectors.words if word.isalpha()), vectors.words[0])
    following = f"ostinato nearest {shlex.quote(str(out))} {shlex.quote(word)}"
    if as_json:
        say_json({"file": str(out), "words": len(vectors), "size": vectors.size, "next": following})
        return
    say(f"Wrote vectors of {len(vectors):,} words, {vectors.size} numbers each, into {out}")
    say_next(following)


def nearest(
    vectors: Vectors,
    words: Annotated[
        list[str], typer.Argument(metavar="WORD...", help="Words.", show_default=False)
    ],
    count: Count = 10,
    as_json: AsJson = False,
) -> None:
    """Name the words whose vectors point the same way."""
    from ostinato.data.vectors import read_vectors

    known = read_vectors(vectors)
    found = {word: known.nearest(word, count) for word in words}
    if as_json:
        say_json({"vectors": str(vectors), "nearest": found})
        return
    for word, others in found.items():
        say(f"{word}:")
        say_table([(f"  {other}", f"{cosine:.3f}") for other, cosine in others])


def analogy(
    vectors: Vectors,
    a: Annotated[str, typer.Argument(metavar="A", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False)],
    c: Annotated[str, typer.Argument(metavar="C", show_default=False)],
    count: Count = 5,
    as_json: AsJson = False,
) -> None:
    """A is to B as C is to what? As in: man king woman."""
    from ostinato.data.vectors import read_vectors

    found = read_vectors(vectors).analogy(a, b, c, count)
    if as_json:
        say_json({"vectors": str(vectors), "asked": [a, b, c], "found": found})
        return
    say(f"{a} is to {b} as {c} is to:")
    say_table([(f"  {other}", f"{cosine:.3f}") for other, cosine in found])
