"""Running a command: what it raises becomes one clear line and an exit code.

0: done. 1: a fault of ours. 2: the input cannot be used. 130: stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

from ostinato.cli.output import say_beside, say_error, say_next

__all__ = ["main", "run"]

# by name, as importing their homes would take seconds
_USERS_OWN = ("DivergedError", "MisconfigurationException", "OutOfMemoryError", "MissingExtraError")


def main() -> None:
    """The `ostinato` command; cells of one's own are found in the folder it is called from."""
    here = os.getcwd()
    if here not in sys.path:
        # behind all others, so that no file there takes the place of an installed package
        sys.path.append(here)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit code.

    Example:
        >>> run(["--version"])
        ostinato ...
        0
    """
    import typer

    from ostinato.cli.app import app

    command = typer.main.get_command(app)
    debug = "--debug" in arguments[:1]
    try:
        code = command.main(list(arguments), prog_name="ostinato", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        say_beside("Stopped.")
        return 130
    except BrokenPipeError:
        # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _explain(error, arguments)


def _explain(error: Exception, arguments: Sequence[str]) -> int:
    usage = getattr(error, "format_message", None)
    if usage is not None:
        say_error(usage())
        say_next(f"{_command_of(error)} --help")
        return 2
    if isinstance(error, (ValueError, OSError)) or type(error).__name__ in _USERS_OWN:
        say_error(str(error))
        return 2
    say_error(f"{type(error).__name__}: {error}. This is a fault in Ostinato, not in your input.")
    say_next(f"ostinato --debug {shlex.join(a for a in arguments if a != '--debug')}")
    return 1


def _command_of(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "ostinato"
