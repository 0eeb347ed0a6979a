"""Physics-informed networks: exact conditions, collocation, residuals and their training; data and unknowns."""

from sciml.pinn.ansatz import Ansatz, build_ansatz
from sciml.pinn.discrete import identify_step, solve_step
from sciml.pinn.forward import solve
from sciml.pinn.inverse import identify

__all__ = ["Ansatz", "build_ansatz", "identify", "identify_step", "solve", "solve_step"]
