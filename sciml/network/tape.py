"""The record of an evaluation of derivatives, from which their derivatives in the parameters are read."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Tape"]


class Tape(ABC):
    """The record of one evaluation of a jet, from which derivatives in the parameters are read.

    With out [K, N, O] the recorded derivatives at N points, a cotangent c of the same shape stands for the scalars
    s_n = sum_{k, o} c[k, n, o] out[k, n, o], one per point.
    """

    @abstractmethod
    def jacobian(self, cotangent: Tensor, out: Tensor | None = None) -> Tensor:
        """Return d s_n / d theta, [N, P] for a cotangent [K, N, O], or [M, N, P] for M of them [M, K, N, O].

        `out`, if given, is the tensor to write into (its last dimension contiguous).
        """

    @abstractmethod
    def gradient(self, cotangent: Tensor) -> Tensor:
        """Return sum_n d s_n / d theta, [P], or [M, P] for a batch of cotangents, without forming the Jacobian."""

    @abstractmethod
    def tangent(self, direction: Tensor) -> Tensor:
        """Return the derivative of out along a direction [P] of the parameters, [K, N, O], without the Jacobian."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that the record holds, without what it shares with the network."""
