"""Fitting a language model: from a text to a trained model and its figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from ostinato.data.parts import split_documents
from ostinato.data.streams import Corpus, TokenStreams, encode_documents
from ostinato.data.text import Document, Source, TextError, read_documents
from ostinato.data.tokenizers import Tokenizer, fit_tokenizer
from ostinato.tasks.language_model import LanguageModel, parts_of_run
from ostinato.tasks.scoring import baseline_nats
from ostinato.tasks.settings import DataSettings, LanguageModelSettings
from ostinato.training import RunError, fit, load_run, seed_all

__all__ = ["Fitting"]

Build = Callable[..., nn.Module]
Config: TypeAlias = "LanguageModelSettings | Mapping[str, Any] | str | Path | None"


@dataclass(frozen=True)
class Fitting:
    """Everything that is settled before the first step is taken.

    Attributes:
        model: with its first weights.
        train: what is trained on.
        validation: what decides which weights are best; None: the last are kept.
        held_out: what the model is scored on; None: nothing is held out.
        digest: of the whole text, by which a resumed run knows it again.
        out: run folder.
        resume: go on with the run in `out`.
    """

    model: LanguageModel
    train: Corpus
    validation: Corpus | None
    held_out: Corpus | None
    digest: str
    out: Path | None
    resume: bool

    @classmethod
    def plan(
        cls,
        kind: type[LanguageModel],
        source: Source,
        cell: str | Build | None,
        config: Config,
        out: str | Path | None,
        resume: bool,
        overwrite: bool,
        changes: Mapping[str, Any],
    ) -> Fitting:
        """Read the text, settle the settings, and build the model; see `LanguageModel.fit`."""
        folder = None if out is None else Path(out)
        earlier = None
        if resume:
            if folder is None:
                raise ValueError("fit: resume needs out, the folder of the run to go on with.")
            earlier = load_run(folder, weights=False)
        elif _occupied(folder) and not overwrite and _is_main():
            raise RunError(
                f"{folder} holds a run already. Go on with it (resume), replace it (overwrite), "
                "or give another folder."
            )
        base = None if earlier is None else parts_of_run(earlier)
        settings, build = _settings(config, cell, changes, None if base is None else base[1])
        data = settings.data
        documents = read_documents(source, separator=data.separator, encoding=data.encoding)
        digest = _digest(documents)
        if earlier is not None:
            _check_same_text(folder, earlier.settings, digest)
        shares = (data.validation, data.held_out)
        parts = split_documents(documents, shares, whole=data.tokens != "characters")
        tokenizer = _tokenizer(documents, parts[0], data) if base is None else base[0]
        train, validation, held_out = (
            _corpus(tokenizer, part, least) for part, least in zip(parts, (0, 2, 2), strict=True)
        )
        assert train is not None
        # the first weights are drawn here, so that a seed settles all of a run
        seed_all(settings.training.seed)
        model = kind(tokenizer, settings, cell=build)
        return cls(model, train, validation, held_out, digest, folder, resume)

    def run(self, *, progress: bool = True, baselines: bool = True) -> LanguageModel:
        """Train, score, save; returns the model."""
        model, data = self.model, self.model.settings.data
        streams = TokenStreams(
            self.train,
            data.batch_size,
            data.chunk_length,
            shuffle=data.shuffle,
            seed=model.settings.training.seed,
        )
        if model.settings.training.patience is not None and self.validation is None:
            raise ValueError("fit: patience needs a validation part. Give validation, e.g. 0.05.")
        model.figures = {"text": {"sha256": self.digest}}
        if self.out is not None and not self.resume and _is_main():
            _forget_checkpoint(self.out)
            model.save(self.out)
        result = fit(
            model,
            streams,
            None if self.validation is None else _validation_streams(self.validation, data),
            config=model.settings.training,
            run_dir=self.out,
            resume=self.resume,
            progress=progress,
        )
        names = ("stopped", "steps", "epochs", "tokens", "seconds", "best", "best_step")
        model.figures["training"] = {name: getattr(result, name) for name in names}
        if result.stopped != "interrupted":
            self._score(baselines)
        if self.out is not None and result.is_main:
            model.save(self.out)
            _append_figures(self.out, result.steps, model.figures)
        return model

    def _score(self, baselines: bool) -> None:
        if self.held_out is None:
            return
        figures = self.model.figures
        figures["held_out"] = self.model.score(self.held_out).to_dict()
        if baselines:
            size = self.model.tokenizer.size
            kind = self.model.tokenizer.kind
            figures["baselines"] = dict(baseline_nats(kind, self._seen(), self.held_out, size))

    def _seen(self) -> Corpus:
        # a count needs no validation, so that it may learn from that part, too
        if self.validation is None:
            return self.train
        tokens = np.concatenate([self.validation.tokens, self.train.tokens])
        return replace(self.train, tokens=tokens)


def _is_main() -> bool:
    # on several devices each has a process of its own, which begins like the first
    return int(getattr(rank_zero_only, "rank", None) or 0) == 0


def _occupied(folder: Path | None) -> bool:
    return folder is not None and (folder / "config.json").exists()


def _settings(
    config: Config,
    cell: str | Build | None,
    changes: Mapping[str, Any],
    earlier: LanguageModelSettings | None,
) -> tuple[LanguageModelSettings, Build | None]:
    if isinstance(config, LanguageModelSettings):
        settings = config
    elif isinstance(config, Mapping):
        settings = LanguageModelSettings.from_dict(config)
    elif config is not None:
        settings = LanguageModelSettings.load(config)
    else:
        settings = earlier or LanguageModelSettings()
    build = None
    if isinstance(cell, str):
        changes = {**changes, "cell": cell}
    elif cell is not None:
        build = cell
        changes = {**changes, "cell": _name_of(cell)}
    settings = settings.changed(**changes)
    if earlier is not None:
        _check_same_settings(earlier, settings)
    return settings, build


def _name_of(cell: Build) -> str:
    name = getattr(cell, "__qualname__", type(cell).__qualname__)
    return f"{getattr(cell, '__module__', type(cell).__module__)}:{name}"


def _check_same_settings(earlier: LanguageModelSettings, now: LanguageModelSettings) -> None:
    before, after = earlier.to_dict(), now.to_dict()
    for section in ("data", "model"):
        for name, value in after[section].items():
            if before[section][name] != value:
                raise ValueError(
                    f"resume: {name} is {value!r} but the run was begun with "
                    f"{before[section][name]!r}. A resumed run keeps its settings; leave {name} as "
                    "it was, or start a new run."
                )
    now.training.check_resumes(earlier.training.to_dict())


def _check_same_text(folder: Path | None, settings: Mapping[str, Any], digest: str) -> None:
    if settings.get("figures", {}).get("text", {}).get("sha256") != digest:
        raise RunError(
            f"{folder} was begun on another text. Give the same text, unchanged, or start a new "
            "run in another folder."
        )


def _digest(documents: Sequence[Document]) -> str:
    whole = hashlib.sha256()
    for document in documents:
        whole.update(document.text.encode("utf-8", "surrogatepass") + b"\0")
    return whole.hexdigest()


def _tokenizer(
    documents: Sequence[Document], train: Sequence[Document], data: DataSettings
) -> Tokenizer:
    kinds = set().union(*(document.text for document in documents))
    if len(kinds) < 2:
        raise TextError(
            f"The text has only one kind of character, {''.join(kinds)!r}: there is nothing to "
            "predict. Give a longer text."
        )
    options: dict[str, Any] = {"size": data.vocabulary_size}
    if data.min_count is not None:
        options["min_count"] = data.min_count
    if data.tokens == "words":
        options |= {"lower": data.lower, "split": data.split}
    else:
        options["end"] = len(documents) > 1
    learned_from = documents if data.tokens == "characters" else train
    if not learned_from:
        raise TextError("Nothing of the text is left to train on. Give a longer text.")
    return fit_tokenizer(data.tokens, [document.text for document in learned_from], **options)


def _corpus(tokenizer: Tokenizer, part: Sequence[Document], least: int) -> Corpus | None:
    corpus = encode_documents(tokenizer, [document.text for document in part])
    return corpus if len(corpus) >= least else None


def _validation_streams(corpus: Corpus, data: DataSettings) -> TokenStreams:
    steps = min(data.chunk_length, len(corpus) - 1)
    rows = min(data.batch_size, (len(corpus) - 1) // steps)
    return TokenStreams(corpus, rows, steps)


def _forget_checkpoint(folder: Path) -> None:
    # a checkpoint of the run that is replaced must not be taken for one of the new run
    for path in sorted((folder / "checkpoint").glob("*")):
        path.unlink()


def _append_figures(folder: Path, step: int, figures: Mapping[str, Any]) -> None:
    line = {"step": step, **{k: figures[k] for k in ("held_out", "baselines") if k in figures}}
    if len(line) > 1:
        with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
