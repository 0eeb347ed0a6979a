"""The notation: text to SymPy and back, LaTeX, and the way from SymPy to NumPy and torch."""

from sciml.notation.adoption import adopt, infer_unknowns
from sciml.notation.compilation import to_numpy, to_torch
from sciml.notation.functions import differentiate
from sciml.notation.grammar import parse_condition, parse_equation, parse_expression
from sciml.notation.latex import to_latex
from sciml.notation.printing import to_text
from sciml.notation.vocabulary import BOUNDARY, At, Partial, Vocabulary

__all__ = [
    "BOUNDARY",
    "At",
    "Partial",
    "Vocabulary",
    "adopt",
    "differentiate",
    "infer_unknowns",
    "parse_condition",
    "parse_equation",
    "parse_expression",
    "to_latex",
    "to_numpy",
    "to_text",
    "to_torch",
]
