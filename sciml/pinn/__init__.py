"""Physics-informed networks: exact conditions, collocation, residuals and their training."""
