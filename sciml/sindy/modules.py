"""A discovered law as a torch module and as a pysindy model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from sciml.errors import ArgumentError
from sciml.notation import Vocabulary, parse_expression, to_torch

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["LawModule", "pysindy_model"]


@final
class LawModule(torch.nn.Module):
    """The right-hand sides of a law: states [..., d] (and control inputs behind them) to rates [..., d].

    The coefficients are one parameter `coefficients` in the order of `terms`, so that they can be trained further.
    """

    def __init__(
        self, names: Sequence[str], control: Sequence[str], coefficients: Mapping[str, Mapping[str, float]]
    ) -> None:
        super().__init__()
        words = Vocabulary(("t",), (), (*names, *control))
        texts = list(dict.fromkeys(term for name in names for term in coefficients[name]))
        self.inputs = len(names) + len(control)
        self.names = tuple(names)
        self.terms = tuple((name, term) for name in names for term in coefficients[name])
        values = [coefficients[name][term] for name, term in self.terms]
        self.coefficients = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
        columns = torch.tensor([texts.index(term) for _, term in self.terms], dtype=torch.long)
        rows = torch.tensor([names.index(name) for name, _ in self.terms], dtype=torch.long)
        self.register_buffer("columns", columns)
        self.register_buffer("rows", rows)
        symbols = [words.symbol(name) for name in (*names, *control)]
        self._values = to_torch([parse_expression(text, words) for text in texts], symbols) if texts else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rates at states and control inputs x [..., d + c]."""
        if x.shape[-1] != self.inputs:
            raise ArgumentError(f"x must have the shape [..., {self.inputs}], not {list(x.shape)}")
        rates = torch.zeros(*x.shape[:-1], len(self.names), dtype=x.dtype, device=x.device)
        if self._values is None:
            return rates
        theta = torch.stack(self._values(*x.unbind(-1)), dim=-1)
        parts = theta[..., self.columns] * self.coefficients.to(x.dtype)
        return rates.index_add(-1, self.rows, parts)


def pysindy_model(law: Discovery) -> Any:
    """Return a fitted `pysindy.SINDy`: a library of exactly the law's terms, and its coefficients.

    The library is made of compiled formulas, so `predict`, `simulate`, `score`, `print` and `equations` work.
    """
    import pysindy

    from sciml.notation import to_numpy

    names = (*law.names, *law.control)
    words = Vocabulary(("t",), (), names)
    symbols = [words.symbol(name) for name in names]
    texts = list(dict.fromkeys(term for name in law.names for term in law.coefficients[name])) or ["1"]
    functions, labels = [], []
    for text in texts:
        term = to_numpy([parse_expression(text, words)], symbols)
        functions.append(_column(term))
        labels.append(_label(text))
    library = pysindy.CustomLibrary(functions, function_names=labels, interaction_only=True)
    model = pysindy.SINDy(feature_library=library, optimizer=pysindy.STLSQ(threshold=0.0))
    rng = np.random.default_rng(0)
    points = rng.uniform(0.5, 1.5, (max(20, 2 * len(texts)), len(names)))
    d = len(law.names)
    control = points[:, d:] if law.control else None
    model.fit(points[:, :d], t=1.0, x_dot=np.zeros((len(points), d)), u=control, feature_names=list(names))
    coefficients = np.array([[law.coefficients[name].get(text, 0.0) for text in texts] for name in law.names])
    model.optimizer.coef_ = coefficients
    model.optimizer.ind_ = coefficients != 0
    return model


def _column(term: Any) -> Any:
    def values(*columns: Any) -> Any:
        return term(*(np.asarray(column) for column in columns))[0]

    return values


def _label(text: str) -> Any:
    def label(*names: str) -> str:
        return text

    return label
