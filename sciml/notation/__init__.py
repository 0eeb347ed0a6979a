"""The notation: text to SymPy and back, LaTeX, and the way from SymPy to NumPy and torch."""

from sciml.notation.compilation import to_numpy, to_torch
from sciml.notation.vocabulary import BOUNDARY, At, Partial, Vocabulary

__all__ = ["BOUNDARY", "At", "Partial", "Vocabulary", "to_numpy", "to_torch"]
