"""Discovery of equations from data: the law behind trajectories and fields, with how sure it is."""

from sciml.sindy.discover import discover
from sciml.sindy.discovery import Alternative, Discovery, load_discovery
from sciml.sindy.libraries import (
    ExponentialLibrary,
    FormulaLibrary,
    Library,
    PolynomialLibrary,
    RationalLibrary,
    TrigonometricLibrary,
)
from sciml.sindy.simulation import Simulation

__all__ = [
    "Alternative",
    "Discovery",
    "ExponentialLibrary",
    "FormulaLibrary",
    "Library",
    "PolynomialLibrary",
    "RationalLibrary",
    "Simulation",
    "TrigonometricLibrary",
    "discover",
    "load_discovery",
]
