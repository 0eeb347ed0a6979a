"""Physics-informed networks: exact conditions, collocation, residuals and their training."""

from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.forward import solve

__all__ = ["Ansatz", "build_ansatz", "solve"]
