"""A discovered law as a fitted model of pysindy."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, final

import numpy as np
from pysindy import STLSQ, SINDy
from pysindy.feature_library.base import BaseFeatureLibrary
from pysindy.utils import AxesArray
from sklearn.utils.validation import check_is_fitted

from sciml.notation import Vocabulary, parse_expression, to_numpy

if TYPE_CHECKING:
    from sciml.sindy.discovery import Discovery

__all__ = ["LawLibrary", "pysindy_model"]


@final
class LawLibrary(BaseFeatureLibrary):
    """A pysindy library of exactly the terms of a law.

    Parameters
    ----------
    terms : texts in the notation
    names : of the unknowns and control inputs, in the order of the columns.
    """

    def __init__(self, terms: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.terms = terms
        self.names = names

    def fit(self, x_full: Any, y: Any = None) -> LawLibrary:
        """Compile the terms."""
        records = x_full if isinstance(x_full, list) else [x_full]
        self.n_features_in_ = records[0].shape[-1]
        self.n_output_features_ = len(self.terms)
        words = Vocabulary(("t",), (), self.names)
        symbols = [words.symbol(name) for name in self.names]
        self.values_ = to_numpy([parse_expression(term, words) for term in self.terms], symbols)
        return self

    def transform(self, x_full: Any) -> Any:
        """Return the terms' values behind the last axis."""
        check_is_fitted(self, "values_")
        if isinstance(x_full, list):
            return [self.transform(record) for record in x_full]
        columns = [np.asarray(x_full[..., k]) for k in range(self.n_features_in_)]
        table = np.stack(self.values_(*columns), axis=-1)
        return AxesArray(table, x_full.axes) if isinstance(x_full, AxesArray) else table

    def get_feature_names(self, input_features: Any = None) -> list[str]:
        """Return the terms as text."""
        return list(self.terms)


def pysindy_model(law: Discovery) -> SINDy:
    """Return a model whose `predict`, `simulate`, `score`, `print` and `equations` are those of the law."""
    names = (*law.names, *law.control)
    terms = tuple(dict.fromkeys(term for name in law.names for term in law.coefficients[name])) or ("1",)
    model = SINDy(feature_library=LawLibrary(terms, names), optimizer=STLSQ(threshold=0.0))
    d = len(law.names)
    points = np.random.default_rng(0).uniform(0.5, 1.5, (4 * len(terms) + 20, len(names)))
    with warnings.catch_warnings():
        # Only the shapes of this fit are kept.
        warnings.simplefilter("ignore")
        control = points[:, d:] if law.control else None
        model.fit(points[:, :d], t=1.0, x_dot=np.ones((len(points), d)), u=control, feature_names=list(names))
    model.optimizer.coef_ = np.array([[law.coefficients[name].get(term, 0.0) for term in terms] for name in law.names])
    return model
