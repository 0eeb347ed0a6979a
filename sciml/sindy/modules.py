"""A discovered law as a torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from sciml.errors import ArgumentError
from sciml.notation import Vocabulary, parse_expression, to_torch

__all__ = ["LawModule"]


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
        self.columns, self.rows = torch.nn.Buffer(columns), torch.nn.Buffer(rows)
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
