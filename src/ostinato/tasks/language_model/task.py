"""The language model: fitted on text, asked for text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from ostinato.data.parts import split_documents
from ostinato.data.streams import IGNORED, Chunk, Corpus, encode_documents
from ostinato.data.text import Source, TextError, read_documents
from ostinato.data.tokenizers import Tokenizer, tokenizer_from_dict
from ostinato.tasks.language_model.network import LanguageNetwork
from ostinato.tasks.language_model.sampling import Sampling
from ostinato.tasks.language_model.scoring import TextScore, score_corpus
from ostinato.tasks.language_model.settings import LanguageModelSettings
from ostinato.tasks.language_model.writing import search, write, write_pieces
from ostinato.tasks.stack import Build
from ostinato.tasks.task import Plan, Prepared, Task, evaluating
from ostinato.tasks.tracing import Question
from ostinato.training import sequence_loss
from ostinato.training.truncated import reach_back

__all__ = ["LanguageModel"]

TOKENIZER = "tokenizer.json"


class LanguageModel(Task):
    r"""A recurrent model of text, a character, word or subword at a time.

    `fit` takes a text: files, folders, "-", or the text itself (see `ostinato.data.text`). The end
    of it (`held_out`, a tenth) is kept for the score; its beginning (`validation`, a twentieth)
    decides which weights are best and when to stop; the rest is trained on. Of characters, the
    vocabulary is that of all three; of words and subwords, that of what is trained on.

    Made by `fit` or `load`, or from its parts, to be trained by a Lightning `Trainer` of one's own.

    Args:
        tokenizer: text to numbers and back.
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Attributes:
        network: tokens to scores of the next token.
        figures: what `fit` measured, by name: "held_out" (see `TextScore.to_dict`), "baselines"
            (nats per token of simple guesses), "training"; plain values.

    Example:
        >>> lm = LanguageModel.fit("to be or not to be\n" * 9, hidden_size=8, num_layers=1,
        ...     batch_size=1, chunk_length=8, max_steps=2, progress=False)
        >>> len(lm.generate("to", length=5, seed=0))
        7
    """

    SETTINGS: ClassVar = LanguageModelSettings
    settings: LanguageModelSettings

    def __init__(
        self,
        tokenizer: Tokenizer,
        settings: LanguageModelSettings | None = None,
        *,
        cell: Build | None = None,
    ) -> None:
        super().__init__(settings or LanguageModelSettings())
        self.tokenizer = tokenizer
        self.network = LanguageNetwork(tokenizer.size, self.settings.model, cell=cell)

    # training

    @classmethod
    def prepare(cls, plan: Plan, source: Source, validation: Any, test: Any) -> Prepared:
        if validation is not None or test is not None:
            raise ValueError(
                "LanguageModel.fit: validation and held_out are shares of the text here, e.g. 0.1."
            )
        from ostinato.tasks.language_model.fitting import prepare

        return prepare(cls, plan, source)

    def training_step(self, batch: Chunk, batch_idx: int) -> dict[str, Any]:
        outputs = self._walked(batch)
        dropped = self.network.dropped(outputs)
        loss = sequence_loss(self.network.scores(dropped), batch.targets)
        loss = loss + self.network.penalty(outputs, dropped)
        return {"loss": loss, "tokens": batch.targets.numel()}

    def _walked(self, batch: Chunk) -> Tensor:
        """What the top layer says at the chunk's steps; the state is carried on."""
        reach = self.settings.data.reach
        if reach is None:
            outputs, state = self.network.outputs(batch.inputs, self.carried, reset=batch.reset)
        else:
            outputs, state = reach_back(
                lambda parts, state: self.network.outputs(parts[0], state, reset=parts[1]),
                (batch.inputs, batch.reset),
                self.carried,
                k2=reach,
            )
        self.carry(state)
        return outputs

    def validation_step(self, batch: Chunk, batch_idx: int) -> None:
        scores, state = self.network(batch.inputs, self.carried, reset=batch.reset)
        self.carry(state)
        asked = int((batch.targets != IGNORED).sum())
        if asked:
            self.record("val_loss", sequence_loss(scores, batch.targets), weight=asked)

    # scoring

    def evaluate(self, source: Source, *, part: str = "all", rows: int = 1) -> TextScore:
        """Read a text from beginning to end, the state carried all the way, and score it.

        Args:
            source: files, folders, "-", or the text itself.
            part: "all", or "held_out": only the end that `fit` would hold out of this text.
            rows: pieces read side by side: faster, but a piece does not know what came before it.

        Raises:
            FileNotFoundError, ValueError: the text cannot be used.
        """
        if part not in ("all", "held_out"):
            raise ValueError(f"evaluate: part must be 'all' or 'held_out', got {part!r}.")
        data = self.settings.data
        documents = read_documents(source, separator=data.separator, encoding=data.encoding)
        if part == "held_out":
            shares = (data.validation, data.held_out)
            whole = data.tokens != "characters"
            documents = split_documents(documents, shares, whole=whole, most=data.most_apart)[2]
        return self.score(encode_documents(self.tokenizer, documents), rows=rows)

    def score(self, corpus: Corpus, *, rows: int = 1) -> TextScore:
        """What `evaluate` does, for a text that has been encoded already."""
        if len(corpus) < 2:
            raise TextError(
                f"The text is too short to score: it has {len(corpus)} token(s), and the first "
                "is only read. Give at least two."
            )
        if not 1 <= rows < len(corpus):
            raise ValueError(f"evaluate: rows must be in 1..{len(corpus) - 1}, got {rows}.")
        with evaluating(self):
            return score_corpus(self.network, corpus, unknown=self.tokenizer.unknown, rows=rows)

    def question(self, source: Any) -> Question:
        from ostinato.tasks.language_model.tracing import question

        return question(self, source)

    # writing

    def generate(
        self,
        prompt: str | Sequence[str] = "",
        length: int = 400,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        repetition_window: int = 64,
        beam: int = 1,
        seed: int | None = None,
        stream: Callable[[str], object] | None = None,
        include_prompt: bool = True,
    ) -> Any:
        """Continue a prompt, or several side by side.

        Args:
            prompt: text to go on from, of any length; a list gives a list.
            length: tokens to write at most (a text may end before, where the model knows ends).
            temperature: above 1 more daring, below 1 more careful, 0 always the most probable.
            top_k: choose among the k most probable only.
            top_p: choose among the fewest that together have this probability.
            repetition_penalty: above 1, tokens seen lately are less likely.
            repetition_window: how many tokens back "lately" reaches.
            beam: above 1, search for the most probable continuation with so many hypotheses,
                instead of drawing one.
            seed: of the draws; None: from torch's own generator.
            stream: called with each piece of text as soon as it is certain (one prompt only).
            include_prompt: return the prompt, too.

        Returns:
            The text, or a list of texts.

        Raises:
            ValueError: a setting is out of range, or the prompt holds unseen characters.
        """
        sampling = Sampling(repetition_penalty, repetition_window, temperature, top_k, top_p)
        if length < 0:
            raise ValueError(f"generate: length must be 0 or more, got {length}.")
        if stream is not None and (beam != 1 or not isinstance(prompt, str)):
            raise ValueError(
                "generate: stream follows one prompt as it is continued, and cannot follow a list "
                "of prompts or a beam. Give a single text and beam=1, or leave stream out."
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if beam != 1:
            written = [search(self, one, length, sampling, beam) for one in prompts]
        elif stream is not None:
            pieces = []
            for piece in write_pieces(self, prompts[0], length, sampling, seed):
                stream(piece)
                pieces.append(piece)
            written = ["".join(pieces)]
        else:
            written = write(self, prompts, length, sampling, seed)
        if include_prompt:
            written = [first + rest for first, rest in zip(prompts, written, strict=True)]
        return written[0] if isinstance(prompt, str) else written

    def pieces(
        self,
        prompt: str = "",
        length: int | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        repetition_window: int = 64,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Iterate over the continuation of a prompt, piece by piece, by default without end.

        Takes what `generate` takes; time and memory of a piece do not depend on how much was read
        or written before.
        """
        sampling = Sampling(repetition_penalty, repetition_window, temperature, top_k, top_p)
        return write_pieces(self, prompt, length, sampling, seed)

    # files

    def texts(self) -> dict[str, str]:
        return {TOKENIZER: json.dumps(self.tokenizer.to_dict(), ensure_ascii=False, indent=1)}

    @classmethod
    def restore(
        cls, settings: LanguageModelSettings, texts: Mapping[str, str], cell: Build | None = None
    ) -> LanguageModel:
        tokenizer = tokenizer_from_dict(json.loads(texts[TOKENIZER]), name=TOKENIZER)
        return cls(tokenizer, settings, cell=cell)
