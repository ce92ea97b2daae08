"""The composer: fitted on music, it goes on with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ostinato.baselines.notes import held_nats, key_chances, often_nats
from ostinato.data.batches import Indices, LengthBatches, pad
from ostinato.data.music import KEYS, Music, MusicError, Piece, read_music, transposed
from ostinato.tasks.composer.network import ComposerNetwork
from ostinato.tasks.composer.settings import ComposerSettings
from ostinato.tasks.stack import Build
from ostinato.tasks.task import Plan, Prepared, Task, digest_of, evaluating, first_weights
from ostinato.training.hessian_free import Bernoulli, Objective

__all__ = ["Composer", "MusicScore"]

Roll = NDArray[np.uint8]


# not frozen: Lightning makes copies of batches field by field
@dataclass
class Rolls:
    """Some pieces side by side: notes [T, B, 88] of 0 and 1, lengths [B]."""

    notes: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class MusicScore:
    """How well music was predicted.

    Attributes:
        nats_per_step: mean of -ln p of a step's notes given all before it, from the second step of
            each piece on: the loss of Boulanger-Lewandowski et al. 2012 and of Bai et al. 2018.
        steps: how many were predicted.
        pieces: how many pieces.
    """

    nats_per_step: float
    steps: int
    pieces: int

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        return asdict(self)


class Composer(Task):
    """A recurrent model of polyphonic music: which notes sound next, given all before.

    `fit` takes piano rolls in JSON, MIDI files, folders of them, or `Piece`s; see
    `ostinato.data.music.read_music`. A JSON file may name its parts.

    Args:
        settings: of data, network and training.
        cell: what builds the cell, in place of `settings.model.cell`.

    Example:
        >>> tune = Piece(((60, 64), (62, 65), (64, 67), (62, 65)) * 4)
        >>> composer = Composer.fit([tune] * 4, validation=tune, test=tune, hidden_size=8,
        ...     max_steps=2, batch_size=2, progress=False)
        >>> len(composer.compose(tune, length=3, seed=0))
        3
    """

    SETTINGS: ClassVar = ComposerSettings
    settings: ComposerSettings

    def __init__(
        self, settings: ComposerSettings | None = None, *, cell: Build | None = None
    ) -> None:
        super().__init__(settings or ComposerSettings())
        self.network = ComposerNetwork(KEYS, self.settings.model, cell=cell)

    # fitting

    @classmethod
    def prepare(cls, plan: Plan, source: Any, validation: Any, test: Any) -> Prepared:
        data = plan.settings.data
        music = _parts(plan.settings, source, validation, test)
        rolls = [[p.roll() for p in part] for part in (music.train, music.validation)]
        held_out = [piece.roll() for piece in music.held_out]
        model = first_weights(plan, lambda: cls(plan.settings, cell=plan.cell))
        model.network.begin_with(key_chances(rolls[0]))

        def measure() -> Mapping[str, Any]:
            if not any(len(roll) > 1 for roll in held_out):
                return {}
            figures: dict[str, Any] = {"held_out": model.score(held_out).to_dict()}
            if plan.baselines:
                seen = rolls[0] + rolls[1]
                figures["baselines"] = {
                    "how often each key sounds": often_nats(seen, held_out),
                    "whether each key is held": held_nats(seen, held_out),
                }
            return figures

        train = [part for roll in rolls[0] for part in _cut(roll, data.chunk_length)]
        return Prepared(
            model,
            Transposed(train, data.transpose, data.batch_size, plan.settings.training.seed),
            digest_of(roll.tobytes() for part in (*rolls, held_out) for roll in part),
            _batches(rolls[1], data.batch_size) if rolls[1] else None,
            measure,
        )

    @classmethod
    def restore(
        cls, settings: ComposerSettings, texts: Mapping[str, str], cell: Build | None = None
    ) -> Composer:
        return cls(settings, cell=cell)

    def training_step(self, batch: Rolls, batch_idx: int) -> dict[str, Any]:
        steps = int(batch.lengths.sum())
        loss = self.network.nats(batch.notes, batch.lengths).sum() / steps
        return {"loss": loss, "tokens": steps}

    def objective(self, batch: Rolls) -> Objective:
        scores, inside = self.network.scores(batch.notes, batch.lengths)
        return Objective(scores, Bernoulli(batch.notes, weight=inside.float()))

    def validation_step(self, batch: Rolls, batch_idx: int) -> None:
        nats, steps = _from_the_second(self.network.nats(batch.notes, batch.lengths), batch)
        if steps:
            self.record("val_loss", nats / steps, weight=steps)

    # asking

    def evaluate(self, source: Any) -> MusicScore:
        """Score music; of a file with parts, the one called "test".

        Raises:
            FileNotFoundError, ValueError: the music cannot be used.
        """
        music = read_music(source, steps_per_quarter=self.settings.data.steps_per_quarter)
        return self.score([piece.roll() for piece in music.held_out or music.train])

    def score(self, rolls: Sequence[Roll]) -> MusicScore:
        """What `evaluate` does, for rolls [T, 88]."""
        nats, steps = 0.0, 0
        with evaluating(self):
            for batch in _batches(rolls, self.settings.data.batch_size):
                rows = Rolls(batch.notes.to(self.device), batch.lengths.to(self.device))
                more, count = _from_the_second(self.network.nats(rows.notes, rows.lengths), rows)
                nats, steps = nats + float(more), steps + count
        if not steps:
            raise MusicError("The music is too short to score. Give a piece of two steps or more.")
        return MusicScore(nats / steps, steps, len(rolls))

    def predict(self, piece: Piece | str | Path) -> NDArray[np.float32]:
        """The chance of each of the piano's keys at each step given those before it, [T, 88]."""
        roll = torch.from_numpy(self._piece(piece).roll()).float()[:, None].to(self.device)
        with evaluating(self):
            h, _ = self.network(torch.cat([torch.zeros_like(roll[:1]), roll[:-1]]))
            chances: NDArray[np.float32] = self.network.notes.chances(h[:, 0]).cpu().numpy()
        return chances

    def compose(
        self,
        prompt: Piece | str | Path | None = None,
        length: int = 64,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        include_prompt: bool = False,
    ) -> Piece:
        """Go on with a piece, or begin one.

        Args:
            prompt: a piece, or a file of one; None: from silence.
            length: steps to write.
            temperature: above 1 more daring, below 1 more careful, 0 always the likeliest.
            seed: of the draws; None: from torch's own generator.
            include_prompt: return the prompt, too.

        Raises:
            ValueError: a setting is out of range, or the prompt cannot be used.
        """
        if length < 0 or not temperature >= 0:
            raise ValueError(
                f"compose: length and temperature must be 0 or more, got {length} and "
                f"{temperature}."
            )
        known = np.zeros((0, KEYS), np.uint8) if prompt is None else self._piece(prompt).roll()
        generator = None if seed is None else torch.Generator(self.device).manual_seed(seed)
        written = []
        with evaluating(self):
            before = torch.zeros(len(known) + 1, 1, KEYS, device=self.device)
            before[1:, 0] = torch.from_numpy(known).float()
            h, state = self.network(before)
            h = h[-1]
            for _ in range(length):
                notes = self.network.notes.draw(h, temperature, generator)
                written.append(notes[0].cpu().numpy().astype(np.uint8))
                h, state = self.network.stack.step(notes, state)
        roll = np.stack(written) if written else np.zeros((0, KEYS), np.uint8)
        if include_prompt:
            roll = np.concatenate([known, roll])
        return Piece.of_roll(roll, "composed")

    def _piece(self, piece: Piece | str | Path) -> Piece:
        if isinstance(piece, Piece):
            return piece
        music = read_music(piece, steps_per_quarter=self.settings.data.steps_per_quarter)
        return (*music.train, *music.held_out, *music.validation)[0]


class Transposed:
    """Batches of rolls, each moved by semitones that are drawn anew in every epoch."""

    def __init__(self, rolls: Sequence[Roll], semitones: int, batch_size: int, seed: int) -> None:
        self.rolls = rolls
        self.semitones = semitones
        self.batch_size = batch_size
        self.seed = seed
        self._rank, self._world = 0, 1

    def epoch(self, number: int) -> Sequence[Rolls]:
        draws = np.random.default_rng((self.seed, number, 1))
        moves = draws.integers(-self.semitones, self.semitones + 1, len(self.rolls))

        def make(rows: Indices) -> Rolls:
            return _rolls([transposed(self.rolls[n], int(moves[n])) for n in rows])

        batches = LengthBatches(
            [len(roll) for roll in self.rolls],
            make,
            batch_size=self.batch_size,
            shuffle=True,
            seed=self.seed,
        )
        return batches.shard(self._rank, self._world).epoch(number)

    def shard(self, rank: int, world_size: int) -> Transposed:
        share = Transposed(self.rolls, self.semitones, self.batch_size, self.seed)
        share._rank, share._world = rank, world_size
        return share

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each roll, [N]."""
        return np.array([len(roll) for roll in self.rolls], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.epoch(0))

    def __iter__(self) -> Iterator[Rolls]:
        return iter(self.epoch(0))


def _batches(rolls: Sequence[Roll], batch_size: int) -> LengthBatches[Rolls]:
    lengths = [len(roll) for roll in rolls]
    return LengthBatches(
        lengths, lambda rows: _rolls([rolls[n] for n in rows]), batch_size=batch_size
    )


def _rolls(rolls: Sequence[Roll]) -> Rolls:
    notes, lengths = pad(rolls)
    return Rolls(notes.float(), lengths)


def _cut(roll: Roll, steps: int) -> Iterable[Roll]:
    return (roll[k : k + steps] for k in range(0, len(roll), steps))


def _from_the_second(nats: Tensor, batch: Rolls) -> tuple[Tensor, int]:
    return nats[1:].sum(), int((batch.lengths - 1).clamp(min=0).sum())


def _parts(settings: ComposerSettings, source: Any, validation: Any, test: Any) -> Music:
    data = settings.data
    music = read_music(source, steps_per_quarter=data.steps_per_quarter)
    given = [
        None if more is None else read_music(more, steps_per_quarter=data.steps_per_quarter)
        for more in (validation, test)
    ]
    train = list(music.train)
    checked = given[0].train + given[0].validation if given[0] else music.validation
    held_out = given[1].train + given[1].held_out if given[1] else music.held_out
    # what no file sets apart is drawn from the pieces, by a seed of its own
    order = np.random.default_rng(settings.training.seed).permutation(len(train))
    shares = [
        0 if part else share
        for part, share in zip((checked, held_out), (data.validation, data.held_out), strict=True)
    ]
    counts = [int(np.ceil(share * len(train))) if share else 0 for share in shares]
    if sum(counts) >= len(train):
        raise MusicError(
            f"There are {len(train)} pieces to train on, too few to set {sum(counts)} apart. Give "
            "more, name files for validation and test, or give validation=0 and held_out=0."
        )
    drawn = [train[k] for k in order]
    a, b = counts[0], counts[0] + counts[1]
    return Music(
        tuple(drawn[b:] if b else train), checked or tuple(drawn[:a]), held_out or tuple(drawn[a:b])
    )
