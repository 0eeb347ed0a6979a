"""Equations as a person would write them: Greek letters, raised exponents, dots for products."""

from __future__ import annotations

import re

__all__ = ["pretty", "short"]

_LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ", "kappa": "κ", "lambda": "λ",
    "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ",
    "omega": "ω", "laplacian": "Δ",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def pretty(text: str, encoding: str = "utf-8") -> str:
    """Return an equation of the notation for reading; unchanged where the encoding lacks the letters.

    Examples
    --------
    >>> pretty("u_t + u*u_x = nu*u_xx - sin(pi*x)**2")
    'u_t + u·u_x = ν·u_xx - sin(π·x)²'
    """
    shown = re.sub(r"[A-Za-z]+", lambda match: _LETTERS.get(match.group(), match.group()), text)
    shown = re.sub(r"(?:\*\*|\^)(\d+)(?![\d.])", lambda match: match.group(1).translate(_SUPERSCRIPTS), shown)
    shown = re.sub(r"Δ\(([A-Za-z0-9_]+)\)", r"Δ\1", shown).replace("**", "^").replace("*", "·")
    try:
        shown.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text
    return shown


def short(value: float, digits: int = 1) -> str:
    """Return an error for a sentence: 3.1e-5, without the padding of the exponent; 0.25 where that reads better.

    Examples
    --------
    >>> short(3.14e-5), short(1e-8, 0), short(0.25), short(0.0)
    ('3.1e-5', '1e-8', '0.25', '0')
    """
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.{digits + 1}g}"
    return re.sub(r"e([+-])0", r"e\1", f"{value:.{digits}e}")
