"""The language model: fitted on text, asked for text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ostinato.data.parts import split_documents
from ostinato.data.streams import IGNORED, Chunk, Corpus, encode_documents
from ostinato.data.text import Source, TextError, read_documents
from ostinato.data.tokenizers import Tokenizer, tokenizer_from_dict
from ostinato.tasks.network import LanguageNetwork
from ostinato.tasks.sampling import Sampling
from ostinato.tasks.scoring import TextScore, score_corpus
from ostinato.tasks.settings import LanguageModelSettings
from ostinato.tasks.writing import evaluating, search, write, write_pieces
from ostinato.training import Run, RunError, SequenceModule, load_run, save_run, sequence_loss

__all__ = ["LanguageModel"]

TASK = "language_model"
TOKENIZER = "tokenizer.json"


class LanguageModel(SequenceModule):
    r"""A recurrent model of text, a character, word or subword at a time.

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

    def __init__(
        self,
        tokenizer: Tokenizer,
        settings: LanguageModelSettings | None = None,
        *,
        cell: Callable[..., nn.Module] | None = None,
    ) -> None:
        settings = settings or LanguageModelSettings()
        super().__init__(settings.training)
        self.tokenizer = tokenizer
        self.settings = settings
        self.network = LanguageNetwork(tokenizer.size, settings.model, cell=cell)
        self.figures: dict[str, Any] = {}

    # training

    @classmethod
    def fit(
        cls,
        source: Source,
        *,
        cell: str | Callable[..., nn.Module] | None = None,
        config: LanguageModelSettings | Mapping[str, Any] | str | Path | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
        baselines: bool = True,
        overwrite: bool = False,
        **settings: Any,
    ) -> LanguageModel:
        """Fit a model to text, and score it on the part that was held out.

        The end of the text (`held_out`, a tenth) is kept for the score; its beginning
        (`validation`, a twentieth) decides which weights are best and when to stop; the rest is
        trained on. Of characters, the vocabulary is that of all three; of words and subwords, that
        of what is trained on.

        Args:
            source: files, folders, "-", or the text itself; see `ostinato.data.text`.
            cell: "lstm", "module:Class", or a class.
            config: settings, a dictionary of them, a TOML file, or a preset's name.
            out: run folder; None: nothing is written (`save` does it later).
            resume: go on with the run in `out`, under the settings it was begun with. Only how
                long and where it runs may change.
            progress: show a live line, where there is a terminal.
            baselines: also score simple guesses, for comparison.
            overwrite: a run that is already in `out` may be lost.
            settings: single settings by their names, e.g. `hidden_size=512, lr=1e-3`.

        Raises:
            FileNotFoundError, ValueError: the text or a setting cannot be used; the message says
                why. `ostinato.training.RunError` (a ValueError) if `out` cannot be resumed.
        """
        from ostinato.tasks.fitting import Fitting

        fitting = Fitting.plan(cls, source, cell, config, out, resume, overwrite, settings)
        return fitting.run(progress=progress, baselines=baselines)

    def training_step(self, batch: Chunk, batch_idx: int) -> dict[str, Any]:
        outputs, state = self.network.outputs(batch.inputs, self.carried, reset=batch.reset)
        self.carry(state)
        dropped = self.network.dropped(outputs)
        loss = sequence_loss(self.network.scores(dropped), batch.targets)
        loss = loss + self.network.penalty(outputs, dropped)
        return {"loss": loss, "tokens": batch.targets.numel()}

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
            documents = split_documents(documents, shares, whole=data.tokens != "characters")[2]
        texts = [document.text for document in documents]
        return self.score(encode_documents(self.tokenizer, texts), rows=rows)

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

    def save(self, folder: str | Path) -> None:
        """Write the model into a run folder: config.json, tokenizer.json, model.safetensors.

        Raises:
            OSError, ValueError: it cannot be written; what was there before is intact.
        """
        save_run(
            folder,
            task=TASK,
            settings={"settings": self.settings.to_dict(), "figures": self.figures},
            weights=self.state_dict(),
            texts={TOKENIZER: json.dumps(self.tokenizer.to_dict(), ensure_ascii=False, indent=1)},
        )

    @classmethod
    def load(
        cls, folder: str | Path | Run, *, cell: Callable[..., nn.Module] | None = None
    ) -> LanguageModel:
        """Read a model from its run folder. Nothing is unpickled.

        A cell of one's own is imported by the name that the folder gives; see to it that it can
        be, or hand it over.

        Args:
            folder: what `fit(out=...)` or `save` wrote.
            cell: builds the cell, in place of what the folder names.

        Raises:
            RunError: the folder is no whole run of a language model.
        """
        run = folder if isinstance(folder, Run) else load_run(folder)
        if run.task != TASK:
            raise RunError(f"{run.folder} is a {run.task!r} run. Read it with ostinato.load.")
        tokenizer, settings = parts_of_run(run)
        model = cls(tokenizer, settings, cell=cell)
        model.figures = dict(run.settings.get("figures", {}))
        try:
            model.load_state_dict(run.weights)
        except RuntimeError as error:
            raise RunError(
                f"{run.folder}: the weights do not fit the network that config.json describes: "
                f"{error}. If the cell's code has changed since, use what it was then."
            ) from error
        return model.eval()


def parts_of_run(run: Run) -> tuple[Tokenizer, LanguageModelSettings]:
    """The tokenizer and the settings of a run.

    Raises:
        RunError: they are missing or unreadable.
    """
    try:
        tokenizer = tokenizer_from_dict(json.loads(run.texts[TOKENIZER]), name=TOKENIZER)
        return tokenizer, LanguageModelSettings.from_dict(run.settings["settings"])
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{run.folder} is not a language model that this Ostinato can read: {error}. Use the "
            "Ostinato that wrote it, or train again."
        ) from error
