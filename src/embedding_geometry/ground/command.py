"""What the package's commands have in common: options from a dataclass, and how they end."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import tyro
from tyro.conf import DisallowNone, PositionalMetavarFromFieldName

from embedding_geometry.ground.devices import lacks_memory

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
READER_GONE = 141  # 128 + SIGPIPE


def run_command(
    form: Any,
    run: Callable[[Any], None],
    arguments: Sequence[str] | None,
    *,
    program: str,
    description: str | None = None,
    kept: Callable[[Any], str],
) -> int:
    """Read the options, run the command, and return its exit code.

    Args:
        form: Dataclass whose fields are the options, or a union of such, the subcommands.
        run: Does what the command is for.
        arguments: The words after the program's name; those of this process if None.
        program: How the command is called, for `--help`.
        description: What it does, for `--help`; the form's docstring if None.
        kept: Says what an interruption of the command leaves behind, for the message about it.

    Returns:
        0; 2 after one line about bad input or too little memory on standard error; 130 after
        Ctrl-C; 141 where the reader of the output, such as `head`, has gone.
    """
    config = (DisallowNone, PositionalMetavarFromFieldName)
    command = None
    try:
        try:
            command = tyro.cli(
                form, prog=program, description=description, args=arguments, config=config
            )
            with warnings.catch_warnings():
                # as one line, without the place in the code that it came from
                warnings.showwarning = lambda message, *_, **__: print(
                    f"warning: {message}", file=sys.stderr
                )
                run(command)
        finally:
            sys.stdout.flush()  # so that a reader that has gone is noticed here, also by --help
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to come
        return READER_GONE
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        print(
            f"error: not enough memory ({' '.join(str(error).split())[:200]}); smaller images, "
            "smaller batches, a smaller precision or another device may do",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        left = "nothing was begun" if command is None else kept(command)
        print(f"interrupted; {left}", file=sys.stderr)
        return INTERRUPTED
    return 0
