"""What the loop over resolutions needs of a discretised stationary problem."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml.classical.fields import Fields, Meshes, StationaryEvaluator
from sciml.classical.newton import System

__all__ = ["Discretisation"]

Array = NDArray[Any]


class Discretisation(System):
    """A nonlinear system whose vectors stand for fields on tensor meshes."""

    meshes: Meshes
    rows: int

    @abstractmethod
    def fields(self, vector: Array) -> Fields:
        """The fields that a vector stands for."""

    @abstractmethod
    def transfer(self, fields: Fields) -> Array:
        """The vector closest to fields of another resolution."""

    @abstractmethod
    def evaluator(self, vector: Array) -> StationaryEvaluator:
        """All unknowns of the problem as functions."""

    @abstractmethod
    def tails(self, vector: Array) -> list[Array]:
        """For each coordinate and element the size of the highest functions relative to the norm of all fields."""

    @abstractmethod
    def losses(self, vector: Array) -> dict[str, float]:
        """Mean square of the residual by term."""

    @abstractmethod
    def starts(self) -> list[Array]:
        """First guesses, the most plausible first, at least one."""

    def resolves(self, vector: Array) -> bool:
        """Whether the fields of a vector are smooth on these meshes."""
        return all(np.max(tail, initial=0.0) < 0.05 for tail in self.tails(vector))
