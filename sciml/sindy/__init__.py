"""Discovery of equations from data: the law behind trajectories and fields, with how sure it is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciml.sindy.discover import discover
from sciml.sindy.discovery import Alternative, Discovery, load_discovery
from sciml.sindy.fields import discover_field
from sciml.sindy.libraries import (
    ExponentialLibrary,
    FormulaLibrary,
    Library,
    LogarithmicLibrary,
    MagnitudeLibrary,
    PolynomialLibrary,
    RationalLibrary,
    RootLibrary,
    TrigonometricLibrary,
)
from sciml.sindy.simulation import Simulation

if TYPE_CHECKING:
    from sciml.sindy.ensembles import Ensemble, ensemble, threshold_path
    from sciml.sindy.estimator import SINDy
    from sciml.sindy.network_smoothing import smooth_by_network

# Imported when they are first used: they need torch and scikit-learn.
_LATER = {
    "Ensemble": "sciml.sindy.ensembles",
    "SINDy": "sciml.sindy.estimator",
    "ensemble": "sciml.sindy.ensembles",
    "smooth_by_network": "sciml.sindy.network_smoothing",
    "threshold_path": "sciml.sindy.ensembles",
}

__all__ = [
    "Alternative",
    "Discovery",
    "Ensemble",
    "ExponentialLibrary",
    "FormulaLibrary",
    "Library",
    "LogarithmicLibrary",
    "MagnitudeLibrary",
    "PolynomialLibrary",
    "RationalLibrary",
    "RootLibrary",
    "SINDy",
    "Simulation",
    "TrigonometricLibrary",
    "discover",
    "discover_field",
    "ensemble",
    "load_discovery",
    "smooth_by_network",
    "threshold_path",
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'sciml.sindy' has no attribute {name!r}")
