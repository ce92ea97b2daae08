"""What every generator checks of what it is given."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["check_choice", "check_sizes"]


def check_sizes(name: str, **sizes: tuple[int, int]) -> None:
    """Refuse the first size that is too small.

    Args:
        name: of the generator.
        sizes: by name, the size and the least that it may be.

    Raises:
        ValueError: one is smaller.

    Example:
        >>> check_sizes("copy", rows=(0, 1))
        Traceback (most recent call last):
        ValueError: copy: rows must be at least 1, got 0.
    """
    for what, (size, least) in sizes.items():
        if size < least:
            raise ValueError(f"{name}: {what} must be at least {least}, got {size}.")


def check_choice(name: str, what: str, choice: str, choices: Sequence[str]) -> None:
    """Refuse what is none of the choices.

    Raises:
        ValueError: it is none of them.
    """
    if choice not in choices:
        raise ValueError(f"{name}: {what} must be one of {', '.join(choices)}, got {choice!r}.")
