"""Physics-informed networks: exact conditions, collocation, residuals and their training."""

from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.forward import solve
from sciml.pinn.inverse import identify

__all__ = ["Ansatz", "build_ansatz", "identify", "solve"]
