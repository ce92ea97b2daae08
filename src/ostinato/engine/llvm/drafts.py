"""What writing a kernel's text leaves besides the text, kept on disk with the code's own key.

Writing the text takes most of the time in which a kernel is there again, and the text itself is
only needed to find the code. So a short file, named by all that the text is made of, says under
which key the code is, which entries it has and where each value stands in its frame.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import llvmlite
import torch

from ostinato.engine.expressions import Program
from ostinato.engine.llvm.compile import cache_folder, write_file
from ostinato.engine.llvm.text import Target
from ostinato.engine.origin import Untold, own_source
from ostinato.engine.recurrence import spell

__all__ = ["Draft", "draft_key", "load", "save"]

_MAGIC = "ostinato draft 1"


@dataclass(frozen=True)
class Draft:
    """What is known of a text without the text.

    Attributes:
        code: key of the machine code.
        names: of its entries.
        slots: index of each address and number in the frame.
    """

    code: str
    names: tuple[str, ...]
    slots: dict[str, int]


def draft_key(kind: str, program: Program, dtype: torch.dtype, target: Target) -> str | None:
    """A hash of all that a text is made of; None where that cannot be told."""
    try:
        told = (kind, spell(program), str(dtype), repr(target), own_source())
    except Untold:
        return None
    return hashlib.sha256(repr((*told, llvmlite.__version__)).encode()).hexdigest()


def load(key: str | None) -> Draft | None:
    """What was saved; None for nothing, or nothing that can be trusted."""
    if key is None:
        return None
    try:
        text = (cache_folder("kernels") / f"{key}.json").read_text(encoding="utf-8")
        magic, checksum, body = text.split("\n", 2)
        if magic != _MAGIC or checksum != _sum(body):
            return None
        told = json.loads(body)
        slots = {str(name): int(index) for name, index in told["slots"].items()}
        return Draft(str(told["code"]), tuple(map(str, told["names"])), slots)
    except Exception:
        # whatever is wrong with the file, the text can be written
        return None


def save(key: str | None, draft: Draft) -> None:
    """Keep a draft, if there is a folder for it."""
    if key is None:
        return
    body = json.dumps({"code": draft.code, "names": draft.names, "slots": draft.slots})
    text = "\n".join([_MAGIC, _sum(body), body])
    try:
        write_file(cache_folder("kernels"), f"{key}.json", text.encode())
    except RuntimeError:
        # nobody knows where this user's home is
        return


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
