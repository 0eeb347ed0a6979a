"""What the commands share: reading the command line, exit codes, messages, progress, and facts about the bundled files.

The command line is read here and not by argparse because equations are arguments: one may begin with a minus sign
(`"-laplacian(u) = 1"`), and `--domain x=0:1 t=0:1` takes several values without swallowing an equation after them.
Nothing here imports torch, NumPy or SymPy: `--help` and `--list` answer at once.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TextIO, final

from sciml.errors import ArgumentError, NotationError, ProblemWarning, ScimlError, SolveError, closest

__all__ = [
    "Arguments",
    "Option",
    "Progress",
    "choice",
    "leave",
    "parse",
    "positive",
    "run",
    "usage",
    "whole",
]

SOLVED, NOT_CONVERGED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

_OPTION = re.compile(r"--([A-Za-z][A-Za-z-]*)(?:=(.*))?", re.DOTALL)


@final
@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes
    ----------
    name : without the dashes.
    help : one line.
    metavar : how the value is called in the help; None for a switch.
    convert : text -> value; raises ArgumentError, whose text follows the name of the option.
    more : for options with several values, whether a further token belongs to them.
    """

    name: str
    help: str
    metavar: str | None = None
    convert: Callable[[str], Any] = str
    more: Callable[[str], bool] | None = None


@final
@dataclass(frozen=True)
class Arguments:
    """A command line that was read: positional texts, and values of the options that were given."""

    positional: tuple[str, ...]
    options: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of an option, or `default` where it was not given."""
        return self.options.get(name, default)


def parse(argv: Sequence[str], options: Sequence[Option]) -> Arguments:
    """Read a command line.

    A token is an option if it begins with two dashes and a letter and has no space before any `=`; all other tokens,
    also those with one dash, are positional. No equation looks like an option, so `--` is not needed and is skipped.

    Raises
    ------
    ArgumentError
        an unknown option, a missing or wrong value.
    """
    known = {option.name: option for option in options}
    tokens = list(argv)
    positional: list[str] = []
    given: dict[str, Any] = {}
    while tokens:
        token = tokens.pop(0)
        if token == "--":
            continue
        if token == "-h":
            token = "--help"
        match = _OPTION.fullmatch(token)
        if match is None:
            positional.append(token)
            continue
        name, attached = match.groups()
        if name not in known:
            raise ArgumentError(f"unknown option --{name}{_closest_option(name, known)}")
        option = known[name]
        if option.metavar is None:
            if attached is not None:
                raise ArgumentError(f"--{name} takes no value, but got {attached!r}")
            given[name] = True
            continue
        texts = [attached] if attached is not None else []
        if not texts:
            if not tokens or _OPTION.fullmatch(tokens[0]):
                raise ArgumentError(f"--{name} needs a value: --{name} {option.metavar}")
            texts.append(tokens.pop(0))
        while option.more is not None and tokens and option.more(tokens[0]):
            texts.append(tokens.pop(0))
        values = [_converted(option, text) for text in texts]
        given[name] = [*given.get(name, []), *values] if option.more is not None else values[0]
    return Arguments(tuple(positional), given)


def _converted(option: Option, text: str) -> Any:
    try:
        return option.convert(text)
    except ArgumentError as error:
        raise ArgumentError(f"--{option.name}: {error}") from None


def _closest_option(name: str, known: Mapping[str, Option]) -> str:
    return closest(name, known).replace("'", "").replace("mean ", "mean --") or "; --help shows all"


def positive(what: str, *, below: float = math.inf) -> Callable[[str], float]:
    """Return a converter to a finite number above zero and below a bound."""
    limit = "" if below == math.inf else f" and below {below:g}"

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and 0 < value < below):
            raise ArgumentError(f"{what} must be a number above 0{limit}, not {text!r}")
        return value

    return convert


def whole(what: str, *, least: int) -> Callable[[str], int]:
    """Return a converter to an integer from `least` on (and below 2^63, which every generator accepts)."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,19}", text) or not least <= int(text) < 2**63:
            raise ArgumentError(f"{what} must be an integer of at least {least}, not {text!r}")
        return int(text)

    return convert


def choice(what: str, known: Sequence[str]) -> Callable[[str], str]:
    """Return a converter that accepts the known words only."""

    def convert(text: str) -> str:
        if text not in known:
            raise ArgumentError(f"{what} must be one of {', '.join(known)}, not {text!r}{closest(text, known)}")
        return text

    return convert


def usage(command: str, forms: Sequence[str], summary: str, options: Sequence[Option], examples: Sequence[str]) -> str:
    """Return the text of `--help`."""
    lines = [summary, "", "usage:"]
    lines += [f"  python -m sciml.{command} {form}" for form in forms]
    lines += ["", "options:"]
    for option in options:
        head = f"  --{option.name}" + (f" {option.metavar}" if option.metavar else "")
        lines.append(f"{head:<28}{option.help}" if len(head) < 27 else f"{head}\n{'':<28}{option.help}")
    lines += ["", "examples:"]
    lines += [f"  python -m sciml.{command} {example}" for example in examples]
    lines += ["", "exit status: 0 solved, 1 not converged, 2 wrong usage, 130 interrupted"]
    return "\n".join(lines)


def run(command: str, main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Run the body of a command and turn what it raises into one or two lines on stderr and an exit code."""
    try:
        with warnings.catch_warnings():
            # Warnings of this package are for the user and get one line each; those of libraries are noise here.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=ProblemWarning)
            warnings.showwarning = _show_warning
            return main(argv)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to tell it.
        sys.stdout = None  # type: ignore[assignment]
        return SOLVED
    except SolveError as error:
        _complain(command, error)
        return NOT_CONVERGED
    except ScimlError as error:
        _complain(command, error)
        return WRONG_USAGE
    except MemoryError:
        print(f"sciml.{command}: not enough memory for this problem at this accuracy", file=sys.stderr)
        return NOT_CONVERGED
    except Exception as error:
        if "--traceback" in argv:
            raise
        first = (str(error).splitlines() or [""])[0]
        print(f"sciml.{command}: internal error, {type(error).__name__}: {_shortened(first)}", file=sys.stderr)
        print("  this is a fault of the program; --traceback shows where it happened", file=sys.stderr)
        return NOT_CONVERGED


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _complain(command: str, error: ScimlError) -> None:
    """Print an error in at most two lines: what is wrong, and where in a text that was typed."""
    first, *rest = str(error).splitlines() or [""]
    if isinstance(error, NotationError) and error.text and error.position is not None:
        start = max(0, error.position - 40)
        before, here = error.text[start : error.position], error.text[error.position : error.position + 40]
        excerpt = " ".join(f"{before}>>>{here}".split())
        rest = [f"in {excerpt!r} at character {error.position + 1}"]
    print(f"sciml.{command}: {_shortened(first)}", file=sys.stderr)
    if rest:
        print(f"  {_shortened(' '.join(' '.join(rest).split()))}", file=sys.stderr)


def _shortened(text: str, most: int = 400) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def leave(code: int) -> NoReturn:
    """End the process; output that no longer has a reader is dropped in silence."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]
    if code == INTERRUPTED:
        # Where the interrupt met an exec() (dataclasses, named tuples), CPython would now kill itself by a signal.
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


@final
class Progress:
    """Shows what a solver reports: one live line on a terminal, else a plain line every few seconds.

    Call it with the mapping that solvers report: "iteration", "seconds", "loss", "estimate", "stage".
    """

    def __init__(self, label: str, stream: TextIO | None = None, every: float = 5.0) -> None:
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._every = every
        self._next = time.monotonic() + min(every, 2.0)
        self._status: Any = None
        if self._stream.isatty():
            from rich.console import Console

            self._status = Console(file=self._stream).status(label, spinner="dots")

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, report: Mapping[str, Any]) -> None:
        """Show a report, if it is time to."""
        if self._status is not None:
            self._status.update(self._line(report))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            print(f"  {self._line(report)}", file=self._stream, flush=True)

    def _line(self, report: Mapping[str, Any]) -> str:
        parts = [str(report.get("stage") or self._label)]
        for key, form in (("iteration", "{:d}"), ("loss", "{:.2e}"), ("estimate", "{:.1e}"), ("seconds", "{:.1f} s")):
            value = report.get(key)
            if isinstance(value, int | float) and math.isfinite(value):
                text = form.format(int(value) if key == "iteration" else value)
                parts.append(text if key == "seconds" else f"{key} {text}")
        return "  ".join(parts)
