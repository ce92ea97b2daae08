"""How good translations are: BLEU and chrF of whole lines, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ostinato.extras import needed

__all__ = ["TranslationScore", "score_lines"]


@dataclass(frozen=True)
class TranslationScore:
    """BLEU and chrF of translations against one reference each.

    Both are taken from lines as they are to be read (with case, not cut into tokens before).

    Attributes:
        bleu: 0 to 100.
        chrf: 0 to 100.
        signature: how sacrebleu computed BLEU: what must be equal for figures to be compared.
        chrf_signature: the same of chrF.
        length_ratio: words of the translations, as a share of those of the references.
        lines: how many.
        nats_per_token: of the references, read by the network; None where no network was asked.
    """

    bleu: float
    chrf: float
    signature: str
    chrf_signature: str
    length_ratio: float
    lines: int
    nats_per_token: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        return asdict(self)


def sacrebleu() -> Any:
    """The library.

    Raises:
        ostinato.extras.MissingExtraError: it is not installed.
    """
    return needed("sacrebleu.metrics", extra="translate", why="BLEU scores")


def score_lines(translations: Sequence[str], references: Sequence[str]) -> TranslationScore:
    """Score translations, line by line against their references.

    Raises:
        ValueError: there are none, or not as many as references.

    Example:
        >>> score = score_lines(["ein Mann geht nach Hause ."], ["ein Mann geht nach Hause ."])
        >>> round(score.bleu), score.signature.split("|")[:2]
        (100, ['nrefs:1', 'case:mixed'])
    """
    if len(translations) != len(references) or not references:
        raise ValueError(
            f"BLEU needs a reference for each translation, and at least one, got "
            f"{len(translations)} translation(s) and {len(references)} reference(s)."
        )
    metrics = sacrebleu()
    bleu, chrf = metrics.BLEU(), metrics.CHRF()
    score = bleu.corpus_score(translations, [references])
    letters = chrf.corpus_score(translations, [references])
    return TranslationScore(
        bleu=score.score,
        chrf=letters.score,
        signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
        length_ratio=score.ratio,
        lines=len(references),
    )
