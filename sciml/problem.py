"""Problem: a differential equation with its conditions, domain and parameters, declared once and never changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast, final

import sympy

from sciml.checks import check_equations, check_forward, corner_warnings
from sciml.condition import Condition, build_conditions, difference
from sciml.declaration import (
    Exact,
    Text,
    accepted_keywords,
    box_of,
    equation_of,
    exact_of,
    functions_of,
    parameter_values,
    texts_of,
    unknown_names,
)
from sciml.domain import Box
from sciml.errors import ArgumentError, ProblemError, ProblemWarning, closest
from sciml.notation import Vocabulary, adopt, parse_condition, to_latex, to_text, to_torch

if TYPE_CHECKING:
    import torch

__all__ = ["Condition", "Problem"]

_FIELDS = (
    "equations", "conditions", "domain", "parameters", "unknowns", "functions", "time", "exact", "reference",
    "incompatible", "name", "source", "description",
)  # fmt: skip


@final
class Problem:
    """A differential equation or system on a box, with conditions and parameters; immutable.

    Parameters
    ----------
    equations : text (or a SymPy expression or Eq), or a sequence of them, in the notation of `sciml.notation`:
        `"u_t + u*u_x = nu*u_xx"`.
    conditions : texts such as `"u(x, 0) = -sin(pi*x)"`, `"u(-1, t) = u(1, t)"` (periodic), `"u(boundary) = 0"`.
    domain : mapping of coordinate names, in the order of arguments, to pairs (lower, upper) of numbers or formulas in
        the parameters; or a `Box`.
    parameters : mapping of names to real numbers (or constant formulas, `"0.01/pi"`).
    unknowns : names of the unknowns; by default the names that are differentiated or applied in a condition.
    functions : further functions. A mapping of signatures to callables of torch tensors, `{"f(x)": torch.exp}`, for
        known terms without a formula, and to None for functions that are to be identified; or a sequence of the latter.
    time : name of the time coordinate if it is in the domain; `laplacian` and `boundary` do not touch it.
    exact : the exact solution: a formula, a callable `f(x, t, *, nu)` of float64 tensors (coordinates in the order of
        the domain, every parameter that it names as keyword) that returns a tensor or, for several unknowns, a mapping
        or a tuple; or a mapping from unknowns to formulas or callables.
    reference : where there is no exact solution, the relative accuracy at which the classical reference is computed.
    incompatible : "warn" or "accept" conditions whose values disagree at a corner.
    name, source, description : for listings; `source` is a citation with DOI.

    Raises
    ------
    NotationError : text that is not in the notation, with the offending character.
    ProblemError : a place outside the domain, an unknown without an equation, an empty interval.
    ArgumentError : an argument of a wrong type or value.

    Examples
    --------
    >>> from sciml import Problem
    >>> heat = Problem("u_t = k*u_xx", ["u(x, 0) = sin(pi*x)", "u(0, t) = 0", "u(1, t) = 0"],
    ...                {"x": (0, 1), "t": (0, 1)}, {"k": 0.1}, exact="exp(-k*pi**2*t)*sin(pi*x)")
    >>> heat.replace(k=0.2).parameters["k"]
    0.2
    """

    name: str
    source: str
    description: str
    equations: tuple[sympy.Eq, ...]
    residuals: tuple[sympy.Expr, ...]
    conditions: tuple[Condition, ...]
    domain: Box
    unknowns: tuple[str, ...]
    parameters: Mapping[str, float]
    constants: Mapping[sympy.Symbol, sympy.Float]
    functions: Mapping[str, Callable[..., Any]]
    unknown_functions: Mapping[str, tuple[str, ...]]
    vocabulary: Vocabulary
    exact: Callable[..., Any] | Mapping[str, Any] | None
    reference: float
    incompatible: Literal["warn", "accept"]
    origin: Mapping[str, Any] | None

    def __init__(
        self,
        equations: Text | Sequence[Text],
        conditions: Text | Sequence[Text] = (),
        domain: Mapping[str, Any] | Box | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        unknowns: str | Sequence[str] | None = None,
        functions: Mapping[str, Callable[..., Any] | None] | Sequence[str] | None = None,
        time: str | None = "t",
        exact: Exact | None = None,
        reference: float = 1e-8,
        incompatible: Literal["warn", "accept"] = "warn",
        name: str = "",
        source: str = "",
        description: str = "",
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        declared = {key: value for key, value in locals().items() if key in _FIELDS}
        self._put("_declared", declared)
        self._put("origin", origin)
        for key, text in (("name", name), ("source", source), ("description", description)):
            if not isinstance(text, str):
                raise ArgumentError(f"{key} must be a string, got {type(text).__name__}")
            self._put(key, text)
        if incompatible not in ("warn", "accept"):
            raise ArgumentError(f"incompatible must be 'warn' or 'accept', got {incompatible!r}")
        self._put("incompatible", incompatible)
        if not (isinstance(reference, (int, float)) and 0 < reference < 1):
            raise ArgumentError(f"reference must be a relative accuracy between 0 and 1, got {reference!r}")
        self._put("reference", float(reference))

        values = parameter_values(parameters)
        self._put("parameters", MappingProxyType(values))
        self._put(
            "constants", MappingProxyType({sympy.Symbol(k, real=True): sympy.Float(v, 17) for k, v in values.items()})
        )
        box = box_of(domain, values)
        self._put("domain", box)
        texts, places = texts_of("equations", equations), texts_of("conditions", conditions)
        if not texts:
            raise ArgumentError("equations must not be empty, for example 'u_t = u_xx'")
        known, unknown, signatures = functions_of(functions)
        names = unknown_names(unknowns, texts, places, box.coordinates, values, signatures)
        self._put("unknowns", names)
        self._put("functions", MappingProxyType(known))
        self._put("unknown_functions", MappingProxyType(unknown))
        self._put("vocabulary", Vocabulary(box.coordinates, names, tuple(values), signatures, time))

        self._put("equations", tuple(equation_of(text, self.vocabulary) for text in texts))
        self._put("residuals", tuple(difference(equation) for equation in self.equations))
        made: list[Condition] = []
        equalities: list[sympy.Eq] = []
        for text in places:
            parsed = parse_condition(text, self.vocabulary) if isinstance(text, str) else adopt(text, self.vocabulary)
            if not isinstance(parsed, sympy.Eq):
                raise ArgumentError(f"conditions must be equations at a place, got {text}")
            equalities.append(parsed)
            label = text.strip() if isinstance(text, str) else to_text(text, self.vocabulary)
            made += build_conditions(parsed, label, self.vocabulary, box, self.constants, self.time)
        self._put("conditions", tuple(made))
        self._put("_equalities", tuple(equalities))
        self._put("exact", exact_of(exact, self.vocabulary))
        check_equations(self)
        for text in corner_warnings(self):
            warnings.warn(text, ProblemWarning, stacklevel=2)

    def _put(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, value)

    # -- what is derived ------------------------------------------------------------------------------------------

    @property
    def coordinates(self) -> tuple[str, ...]:
        """All coordinates, in the order of arguments."""
        return self.domain.coordinates

    @property
    def time(self) -> str | None:
        """Name of the time coordinate, or None for a stationary problem."""
        return self.vocabulary.time if self.vocabulary.time in self.coordinates else None

    @property
    def space(self) -> tuple[str, ...]:
        """The coordinates without time."""
        return tuple(c for c in self.coordinates if c != self.time)

    @property
    def periodic(self) -> frozenset[str]:
        """Coordinates in which every unknown is declared periodic."""
        found: dict[str, set[str]] = {}
        for condition in self.conditions:
            partial = self.vocabulary.partial_of(condition.expression) if condition.kind == "periodic" else None
            if partial is not None and not any(partial.orders):
                found.setdefault(next(iter(condition.place)), set()).add(partial.unknown)
        return frozenset(c for c, names in found.items() if names == set(self.unknowns))

    @property
    def has_exact(self) -> bool:
        """Whether an exact solution is declared."""
        return self.exact is not None

    def substituted(self, expression: sympy.Expr) -> sympy.Expr:
        """Put the parameters' values into a formula."""
        return cast(sympy.Expr, expression.xreplace(dict(self.constants)))

    def order(self, unknown: str, coordinate: str) -> int:
        """Highest order of derivative of an unknown in a coordinate, over all equations."""
        i = self.domain.index(coordinate)
        found = [p.orders[i] for p in self.vocabulary.partials(*self.residuals) if p.unknown == unknown]
        return max(found, default=0)

    def evaluate_exact(self, points: Any) -> dict[str, torch.Tensor]:
        """Evaluate the exact solution.

        Parameters
        ----------
        points : array or float64 tensor of shape [N, dimension], coordinates in the order of the domain.

        Returns
        -------
        A tensor of shape [N] for each unknown, differentiable with respect to `points`.

        Raises
        ------
        ProblemError : if the problem has no exact solution, or it returns something else than declared.
        """
        import torch

        if self.exact is None:
            raise ProblemError(f"problem {self.name or 'without name'} declares no exact solution")
        points = points if isinstance(points, torch.Tensor) else torch.as_tensor(points, dtype=torch.float64)
        columns = [points[..., i] for i in range(self.domain.dimension)]
        if callable(self.exact):
            value = self.exact(*columns, **accepted_keywords(self.exact, self.parameters))
            if not isinstance(value, Mapping):
                value = (value,) if isinstance(value, torch.Tensor) else tuple(value)
                if len(value) != len(self.unknowns):
                    raise ProblemError(f"exact returned {len(value)} fields for {len(self.unknowns)} unknowns")
                value = dict(zip(self.unknowns, value, strict=True))
        else:
            value = {}
            for unknown, formula in self.exact.items():  # type: ignore[union-attr]
                if callable(formula) and not isinstance(formula, sympy.Basic):
                    value[unknown] = formula(*columns, **accepted_keywords(formula, self.parameters))
                else:
                    leaves = [self.vocabulary.symbol(c) for c in self.coordinates]
                    compiled = to_torch([self.substituted(cast(sympy.Expr, formula))], leaves, dict(self.functions))
                    value[unknown] = compiled(*columns)[0]
        missing = [name for name in self.unknowns if name not in value]
        if missing:
            raise ProblemError(f"exact gives no value for {', '.join(missing)}")
        return {name: value[name] + torch.zeros_like(columns[0]) for name in self.unknowns}

    def check_forward(self) -> None:
        """Ask whether the problem can be solved forward: as many equations as unknowns, conditions to match the orders.

        For each coordinate the sum over unknowns of the highest order must equal the number of conditions that fix the
        coordinate (a periodic condition counts as many as its unknown needs).

        Raises
        ------
        ProblemError : saying what is missing or too much.
        """
        check_forward(self)

    # -- changing, writing, showing -------------------------------------------------------------------------------

    def replace(self, **changes: Any) -> Problem:
        """Return a new problem with other values of parameters or other declarations.

        Examples: `problem.replace(nu=0.1)`, `problem.replace(conditions=[])`, `problem.replace(domain={...})`.

        Raises
        ------
        ArgumentError : for a name that is neither a parameter nor a field.
        """
        declared = dict(self._declared)  # type: ignore[attr-defined]
        values = dict(self.parameters)
        for key, value in changes.items():
            if key in values:
                values[key] = value
            elif key == "parameters":
                values = dict(value)
            elif key in _FIELDS:
                declared[key] = value
            else:
                known = (*values, *_FIELDS)
                raise ArgumentError(f"no parameter or field {key!r}; known: {', '.join(known)}{closest(key, known)}")
        declared["parameters"] = values
        origin = self.origin
        if origin is not None:
            only_values = all(key in self.parameters or key == "parameters" for key in changes)
            origin = {**origin, "parameters": values} if only_values else None
        return Problem(**declared, origin=origin)

    def labelled(self, *, name: str, description: str, source: str, origin: Mapping[str, Any] | None) -> Problem:
        """Return the same problem under another name; `origin` says where it was loaded from."""
        labels = {"name": name, "description": description, "source": source}
        declared = {**self._declared, **labels}  # type: ignore[attr-defined]
        return self._copy(**labels, origin=origin, _declared=declared)

    def _copy(self, **changes: Any) -> Problem:
        copy = object.__new__(Problem)
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    def windowed(self, lower: float, upper: float) -> Problem:
        """Return the problem on the window [lower, upper] of its time; what was asked initially is asked at `lower`.

        The data of the conditions stay as they are: a solver that marches through windows brings its own.
        """
        if self.time is None:
            raise ProblemError("only a problem with a time coordinate has time windows")
        i, first = self.domain.index(self.time), self.domain.interval(self.time)[0]
        bounds = [list(side) for side in (self.domain.lower, self.domain.upper)]
        bounds[0][i], bounds[1][i] = lower, upper
        moved = [
            replace(c, place=MappingProxyType({**c.place, self.time: lower})) if c.place.get(self.time) == first else c
            for c in self.conditions
        ]
        return self._copy(domain=Box(self.coordinates, *map(tuple, bounds)), conditions=tuple(moved))

    def to_dict(self) -> dict[str, Any]:
        """The declaration as JSON-able text; callables are named in "callables" and cannot be written."""
        formulas = self.exact if isinstance(self.exact, Mapping) else {}
        texts = {u: to_text(f, self.vocabulary) for u, f in formulas.items() if isinstance(f, sympy.Basic)}
        callables = [f"functions[{name!r}]" for name in self.functions]
        if self.exact is not None and len(texts) != len(self.unknowns):
            texts, callables = {}, [*callables, "exact"]
        declared = self._declared  # type: ignore[attr-defined]
        conditions = [
            c if isinstance(c, str) else to_text(c, self.vocabulary)
            for c in texts_of("conditions", declared["conditions"])
        ]
        return {
            "equations": [to_text(equation, self.vocabulary) for equation in self.equations],
            "conditions": conditions,
            "domain": {c: list(self.domain.interval(c)) for c in self.coordinates},
            "parameters": dict(self.parameters),
            "unknowns": list(self.unknowns),
            "functions": [f"{name}({', '.join(args)})" for name, args in self.vocabulary.functions.items()],
            "time": self.time,
            "exact": texts or None,
            "reference": self.reference,
            "incompatible": self.incompatible,
            "name": self.name,
            "source": self.source,
            "description": self.description,
            "origin": None if self.origin is None else dict(self.origin),
            "callables": callables,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Problem:
        """Rebuild a problem from `to_dict`; functions that were callables come back as unknown functions."""
        fields = {key: data[key] for key in (*_FIELDS, "origin") if key in data}
        return cls(**fields)

    def _repr_latex_(self) -> str:
        lines = [to_latex(equation, self.vocabulary) for equation in self.equations]
        lines += [to_latex(equality, self.vocabulary) for equality in self._equalities]  # type: ignore[attr-defined]
        return "$$\\begin{aligned}\n" + " \\\\\n".join("&" + line for line in lines) + "\n\\end{aligned}$$"

    def __repr__(self) -> str:
        lines = [f"Problem {self.name}".rstrip()]
        lines += [f"  {to_text(equation, self.vocabulary)}" for equation in self.equations]
        lines += [f"  {condition.name}" for condition in self.conditions]
        lines.append(f"  {self.domain}")
        if self.parameters:
            lines.append("  " + ", ".join(f"{name} = {value:.6g}" for name, value in self.parameters.items()))
        return "\n".join(lines)

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"a Problem is frozen; use problem.replace({key}=...)")

    def __delattr__(self, key: str) -> None:
        raise AttributeError("a Problem is frozen")

    def __getstate__(self) -> dict[str, Any]:
        return {"declared": self._declared, "origin": self.origin}  # type: ignore[attr-defined]

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Problem.__init__(self, **state["declared"], origin=state["origin"])
