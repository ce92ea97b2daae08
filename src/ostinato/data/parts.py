"""A text cut into what is trained on, what decides when to stop, and what is held out."""

from __future__ import annotations

from collections.abc import Sequence

from ostinato.data.text import Document

__all__ = ["split_at", "split_documents"]

# how far a cut may move to fall between words
_REACH = 1000


def split_documents(
    documents: Sequence[Document],
    shares: tuple[float, float],
    *,
    whole: bool = False,
    most: int | None = None,
) -> tuple[list[Document], list[Document], list[Document]]:
    """Cut a text, counted over all documents, into training, validation and held-out part.

    The validation part comes first, the held-out part last. So the text before the held-out part
    is trained on: where it ends in the middle of a story, a model that had to do without the
    story's beginning would be scored on names that it has never seen.

    Args:
        documents: the text.
        shares: of validation and held-out part.
        whole: move a cut that falls inside a word to the end of its line or word.
        most: characters that validation and held-out part have at most, each; None: any number.

    Example:
        >>> parts = split_documents([Document("abcdefghij")], (0.2, 0.1))
        >>> [[document.text for document in part] for part in parts]
        [['cdefghi'], ['ab'], ['j']]
    """
    validation, held_out = shares
    total = sum(len(document) for document in documents)
    cuts = [int(total * validation), int(total * (1 - held_out))]
    if most is not None:
        cuts = [min(cuts[0], most), max(cuts[1], total - most if held_out else total)]
    if whole:
        cuts = [_between_words(documents, cut) for cut in cuts]
    seen, last = split_at(documents, cuts[1])
    first, middle = split_at(seen, cuts[0])
    return middle, first, last


def split_at(documents: Sequence[Document], position: int) -> tuple[list[Document], list[Document]]:
    """Cut a row of documents in two at a character position, counted over all of them.

    Example:
        >>> first, rest = split_at([Document("abc"), Document("defg")], 5)
        >>> [d.text for d in first], [d.text for d in rest]
        (['abc', 'de'], ['fg'])
    """
    first: list[Document] = []
    rest: list[Document] = []
    for document in documents:
        cut = min(max(position, 0), len(document))
        if cut > 0:
            first.append(document.part(0, cut))
        if cut < len(document):
            rest.append(document.part(cut, len(document)))
        position -= len(document)
    return first, rest


def _between_words(documents: Sequence[Document], position: int) -> int:
    start = 0
    for document in documents:
        inside = position - start
        if 0 < inside < len(document):
            near = "".join(document.part(inside - 1, inside + _REACH).pieces())
            for sign in ("\n", " "):
                found = near.find(sign)
                if found >= 0:
                    return position + found
        start += len(document)
    return position
