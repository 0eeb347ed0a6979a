"""The first reading of a text: tokens with their places, and what can be refused before Python's parser runs.

The tokens of one side of an equation are written out again as Python (primes, `^` and numbers replaced), with a table
from columns to tokens, so that every later error can point at the original character.
"""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, final

from sciml.errors import NotationError

__all__ = ["LONGEST_TEXT", "Side", "Token", "read", "tokenize"]

LONGEST_TEXT = 20_000
_DEEPEST = 64  # brackets within brackets
_MOST_OPERATORS = 1_500  # on one side; Python's parser recurses once for each
_LONGEST_SIGNS = 16
_MOST_PRIMES = 10
_LONGEST_NUMBER = 400
_LONGEST_NAME = 100

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)(?P<primes>'*)"
    r"|(?P<operator>\*\*|<=|>=|==|!=|//|[-+*/^<>])"
    r"|(?P<mark>[(),=])"
)
_WORDS = frozenset({"and", "or", "not", "True", "False"})
_ATTRIBUTE = "no attributes are read here: '.' stands only in numbers"
_QUOTE = "no text in quotes is read here; a prime stands directly after a name, as in x'"
_HINTS: Mapping[str, str] = MappingProxyType(
    {
        ".": _ATTRIBUTE,
        "'": _QUOTE,
        '"': _QUOTE,
        "[": "no subscripts or lists are read here; group with ( )",
        "]": "no subscripts or lists are read here; group with ( )",
        "{": "no braces are read here; group with ( )",
        "}": "no braces are read here; group with ( )",
        "_": "names begin with a letter",
        "&": "write 'and'",
        "|": "write 'or', or abs(...) for an absolute value",
        "~": "write 'not'",
        "%": "there is no remainder in the notation",
        "!": "there is no factorial in the notation",
        "#": "comments are not part of the notation",
        "\\": "LaTeX is not read; write names and operators plainly",
        ":": "':' is not part of the notation; a choice is where(condition, a, b)",
        ";": "one equation per text; give several as a list",
        "\0": "the text contains a nul byte",
        "\u2212": "write the minus sign '-'",
        "\u2013": "write the minus sign '-'",
        "\u00b7": "write '*'",
        "\u22c5": "write '*'",
        "\u00d7": "write '*'",
        "\u00f7": "write '/'",
        "\u00b2": "write '**2'",
        "\u00b3": "write '**3'",
        "\u2032": "write the prime '",
        "\u2019": "write the prime '",
        "\u2202": "write a derivative as u_x",
        "\u2207": "write laplacian(u) or d(u, x)",
        "\u2264": "write '<='",
        "\u2265": "write '>='",
        "\u2260": "write '!='",
        "\u221a": "write sqrt(...)",
        "\u221e": "there is no infinity in the notation",
        "\u00a0": "a no-break space: write a plain space",
    }
)


class Token(NamedTuple):
    """A word of the text: kind is "number", "name", "operator" or one of `( ) , =`; position counts characters."""

    kind: str
    text: str
    position: int
    primes: int = 0


@final
@dataclass(frozen=True)
class Side:
    """One side of an equation: Python's syntax tree, and the token at each column where one begins."""

    tree: ast.expr
    tokens: Mapping[int, Token]


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a text.

    Raises
    ------
    NotationError
        The text is empty or too long, or contains a character or word that the notation does not have.
    """
    if not isinstance(text, str):
        raise NotationError(f"a text is needed, not {type(text).__name__}")
    if len(text) > LONGEST_TEXT:
        raise NotationError(f"the text has {len(text)} characters; at most {LONGEST_TEXT} are read", text, LONGEST_TEXT)
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotationError(_explain(text, position), text, position)
        kind, word = str(match.lastgroup), match.group()
        if match["name"]:
            kind, word = "name", match["name"]
            _check_name(word, len(match["primes"]), text, position)
        if kind == "number" and len(word) > _LONGEST_NUMBER:
            raise NotationError(f"a number of {len(word)} digits; at most {_LONGEST_NUMBER} are read", text, position)
        if word == "//":
            raise NotationError("there is no integer division in the notation; write '/'", text, position)
        if kind != "space":
            if word in _WORDS - {"True", "False"}:
                kind = "operator"
            tokens.append(Token(word if kind == "mark" else kind, word, position, len(match["primes"] or "")))
        position = match.end()
    if not tokens:
        raise NotationError("the text is empty", text, 0 if text else None)
    return tokens


def _check_name(name: str, primes: int, text: str, position: int) -> None:
    if len(name) > _LONGEST_NAME:
        raise NotationError(f"a name of {len(name)} characters; at most {_LONGEST_NAME} are read", text, position)
    if primes > _MOST_PRIMES:
        raise NotationError(f"{primes} primes; derivatives are read up to order {_MOST_PRIMES}", text, position)
    if keyword.iskeyword(name) and name not in _WORDS:
        if name in ("if", "else"):
            advice = "a choice is where(condition, a, b)"
        else:
            advice = "write 'lam' or 'lambda_'" if name == "lambda" else "choose another name"
        raise NotationError(f"{name!r} is a word of Python, not a name; {advice}", text, position)


def _explain(text: str, position: int) -> str:
    char = text[position]
    if char in _HINTS:
        return _HINTS[char]
    label = unicodedata.name(char, f"U+{ord(char):04X}")
    greek = re.fullmatch(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", label)
    if greek:
        name = {"LAMDA": "lam"}.get(greek[1], greek[1].lower())
        return f"names are written in ASCII; write {(name.capitalize() if 'CAPITAL' in label else name)!r}"
    return f"the character {char!r} ({label}) is not part of the notation"


def read(text: str) -> list[Side]:
    """Return the one or two sides of a text as Python's syntax trees.

    Raises
    ------
    NotationError
        The text is not in the notation: unbalanced or too deep brackets, a missing operator or operand, two `=`.
    """
    tokens = tokenize(text)
    equals = _check_order(tokens, text)
    parts = [tokens] if equals is None else [tokens[:equals], tokens[equals + 1 :]]
    return [_parse(part, text) for part in parts]


def _check_order(tokens: Sequence[Token], text: str) -> int | None:
    """Check that operands and operators alternate and brackets close; return the index of `=` or None."""
    equals: int | None = None
    brackets: list[tuple[Token, str]] = []  # each open bracket and the name that it is applied to
    closed = ""  # the name of the application that the last ')' has closed
    operand = False  # whether an operand has just ended
    signs = operators = 0
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        signs = signs + 1 if token.text in ("+", "-", "not") and not operand else 0
        operators += token.kind in ("operator", ",")
        if signs > _LONGEST_SIGNS:
            raise NotationError("too many signs in a row", text, token.position)
        if operators > _MOST_OPERATORS:
            raise NotationError(f"too long: more than {_MOST_OPERATORS} operators", text, token.position)
        if token.kind in ("number", "name") or token.text == "not":
            if operand and before is not None:
                raise _missing_operator(before, token, text)
            operand = token.text != "not"
        elif token.kind == "(":
            applied = before is not None and before.kind == "name"
            if operand and before is not None and not applied and not (before.kind == ")" and closed):
                raise _missing_operator(before, token, text)
            brackets.append((token, before.text if operand and before is not None and applied else ""))
            if len(brackets) > _DEEPEST:
                raise NotationError(f"brackets nested more than {_DEEPEST} deep", text, token.position)
            operand = False
        elif token.text in ("+", "-") and not operand:
            continue
        elif token.kind == ")" and not brackets:
            raise NotationError("this ')' closes nothing", text, token.position)
        elif not operand:
            where = f"before {token.text!r}" if before is None else f"between {before.text!r} and {token.text!r}"
            raise NotationError(f"something is missing {where}", text, token.position)
        elif token.kind == ")":
            name = brackets.pop()[1]
            closed = name if name in ("d", "laplacian") else ""  # only these can be applied again: d(u, x)(0, t)
        else:
            operand = False
            if token.kind == "=":
                if brackets:
                    raise NotationError("'=' within brackets: no keyword arguments are read here", text, token.position)
                if equals is not None:
                    raise NotationError("a second '=': one equation per text", text, token.position)
                equals = index
            elif token.text == "==" and not brackets:
                raise NotationError("an equation is written with a single '='", text, token.position)
            elif token.kind == "," and not brackets:
                raise NotationError("',' outside of brackets; give several equations as a list", text, token.position)
    if brackets:
        raise NotationError("this '(' is never closed", text, brackets[-1][0].position)
    if not operand:
        last = tokens[-1]
        raise NotationError(f"something is missing after {last.text!r}", text, last.position + len(last.text) - 1)
    return equals


def _missing_operator(before: Token, token: Token, text: str) -> NotationError:
    between = f"between {before.text + chr(39) * before.primes!r} and {token.text!r}"
    return NotationError(f"missing operator {between}; a product is written with '*'", text, token.position)


def _parse(tokens: Sequence[Token], text: str) -> Side:
    words: list[str] = []
    columns: dict[int, Token] = {}
    column = 0
    for token in tokens:
        # Numbers are converted by the grammar itself, so here each is just a 1.
        word = "1" if token.kind == "number" else "**" if token.text == "^" else token.text
        columns[column] = token
        words.append(word)
        column += len(word) + 1
    try:
        tree = ast.parse(" ".join(words), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        offset = (getattr(error, "offset", None) or 1) - 1
        token = columns.get(offset, tokens[0])
        raise NotationError("this cannot be read", text, token.position) from error
    return Side(tree, MappingProxyType(columns))
