"""The table of the bundled problems, read from their files without running them."""

from __future__ import annotations

import ast
import shutil
import sys

__all__ = ["equations_in", "listing"]


def equations_in(source: str) -> list[str]:
    """Return the texts of the equations in a problem file, as far as they can be read without running it.

    Names of texts that the file assigns are filled into formatted strings; what is computed stays as `{name}`.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    texts: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            texts |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
            named = [keyword.value for keyword in node.keywords if keyword.arg == "equations"]
            for value in [*named, *node.args[:1]]:
                return [_text(e, texts) for e in (value.elts if isinstance(value, ast.List | ast.Tuple) else [value])]
    return []


def _text(node: ast.expr, texts: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, texts) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, texts)
    if isinstance(node, ast.Name) and node.id in texts:
        return texts[node.id]
    return f"{{{ast.unparse(node)}}}"


def listing() -> str:
    """Return the bundled problems, two lines each: name and equation, and the first line of the description.

    On a terminal the lines are cut to its width.
    """
    from sciml.registry import describe, names, path_of

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    rows = [(name, equations_in(path_of(name).read_text(encoding="utf-8")), describe(name)) for name in names()]
    first = max((len(name) for name, *_ in rows), default=0) + 2
    lines = []
    for name, equations, description in rows:
        lines += [f"{name:<{first}}{', '.join(equations)}", f"{'':<{first}}{description}"]
    return "\n".join(line if len(line) <= width else line[: max(1, width - 3)] + "..." for line in lines)
