"""What `python -m benchmarks` runs: a name, what it shows, and the command, small and in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

__all__ = ["COMMAND", "HERE", "ITEMS", "OUT", "Item", "item_named"]

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "shared" / "data"
OUT = Path("runs") / "benchmarks"
# What tells a command from a module.
COMMAND = 'if __name__ == "__main__"'


@final
@dataclass(frozen=True)
class Item:
    """One benchmark.

    Attributes
    ----------
    name : what `--only` accepts.
    shows : the question that it answers, in a line.
    module : the command's module in this folder.
    quick, full : its arguments; None where there is no such run.
    shown : patterns of the lines of its output that the summary repeats; none: its last lines.
    minutes : about what quick and full take on two idle cores.
    resumes : whether the command itself skips what is in its file, and knows `--fresh`.
    writes : whether the command writes a JSON file with `--json`.
    seed : of the run, as far as there is one.
    devices : whether the command knows `--device`.
    """

    name: str
    shows: str
    module: str
    quick: Sequence[str] | None
    full: Sequence[str] | None = ()
    shown: Sequence[str] = ()
    minutes: tuple[float, float] = (1.0, 10.0)
    resumes: bool = False
    writes: bool = False
    seed: int = 0
    devices: bool = False

    @property
    def exists(self) -> bool:
        """Whether the folder has the command."""
        path = HERE / f"{self.module}.py"
        return path.exists() and COMMAND in path.read_text()

    def arguments(self, full: bool, device: str | None = None) -> Sequence[str] | None:
        """Return the arguments of the small or the full run; without a device the command has its own choice."""
        given = self.full if full else self.quick
        return given if given is None or device is None or not self.devices else (*given, "--device", device)


def _quick_file(name: str) -> list[str]:
    """Runs of a part of the work must not stand among those of the full tables."""
    return ["--out", str(OUT / f"{name}-quick.jsonl")]


# Lynx and hare need data that others made; without them what can be computed is left.
_IDENTIFIED = [*(["lynx and hare"] if DATA.exists() else []), "heat, k(x)"]
_FIELDS = ["esindy_burgers", "esindy_kdv", "--seeds", "25:27"] if DATA.exists() else ["plane", "--seeds", "25:26"]

ITEMS: tuple[Item, ...] = (
    Item(
        "kernels",
        "jets, Jacobians and Gram matrices against the products that cannot be avoided",
        "kernels",
        ("--repeat", "8", "--points", "1024", "--no-compile"),
        (),
        (r"GFLOP/s", r"parameters$", r"^  (record and Jacobian|Gram matrix) ", r"whole step"),
        (0.5, 4),
        writes=True,
    ),
    Item(
        "scale",
        "cost against points, parameters, dimensions, bootstraps, systems; the roofline",
        "scale",
        ("--quick",),
        (),
        (),
        (1.5, 15),
        writes=True,
    ),
    Item(
        "devices",
        "the same kernels and trainings on a processor and on a GPU, in float64 and float32",
        "devices",
        ("--points", "2048", "--repeat", "3", "--no-training"),
        (),
        (r"^\|",),
        (0.1, 5),
        writes=True,
        devices=True,
    ),
    Item(
        "distributed",
        "one training in one process, in two, and with two threads",
        "scale_distributed",
        ("--points", "10000", "--iterations", "8", "--rounds", "1"),
        (),
        (r".",),
        (0.5, 10),
        writes=True,
        devices=True,
    ),
    Item(
        "accuracy",
        "networks and classical solvers: seconds to each error (in full: five seeds, DeepXDE beside)",
        "accuracy",
        ("--quick", "--no-deepxde"),
        (),
        (r"^\|",),
        (1.5, 180),
        resumes=True,
        devices=True,
    ),
    Item(
        "outside",
        "scikit-fem and py-pde on the same problems, on a ladder of resolutions",
        "outside",
        ("--quick",),
        (),
        (r"^\|",),
        (0.3, 20),
        resumes=True,
    ),
    Item(
        "precision",
        "error against wall time of all of these: the figure, and the ratios at equal error",
        "precision",
        ("--quick",),
        (),
        (r"^\||^written",),
        (0.1, 0.2),
    ),
    Item(
        "peers",
        "examples of DeepXDE and neurodiffeq as their documentation gives them, ours beside",
        "peers",
        ("--quick",),
        (),
        (r"^\|",),
        (0.5, 60),
        resumes=True,
    ),
    Item(
        "many dimensions",
        "Poisson's equation in five and ten dimensions: a network against a tensor grid",
        "many_dimensions",
        ("--quick",),
        (),
        (r"^\|",),
        (0.15, 6),
        writes=True,
    ),
    Item(
        "problems",
        "bundled problems through the command line, as a user runs them",
        "problems",
        ("pendulum", "--budget", "10"),
        (),
        (r"\S",),
        (0.3, 30),
    ),
    Item(
        "families",
        "one network over a range of viscosities against solving again for each",
        "families",
        ("--quick", "--budget", "20"),
        (),
        (),
        (1.1, 20),
        writes=True,
        devices=True,
    ),
    Item(
        "identification",
        "unknown numbers and functions from data, the classical twin beside",
        "identification",
        ("--draws", "1", "--only", *_IDENTIFIED, *_quick_file("identification")),
        (),
        (r"^\|",),
        (1.5, 120),
        resumes=True,
    ),
    Item(
        "discrete",
        "one Runge-Kutta step of hundreds of stages, forward and from two snapshots",
        "discrete",
        None,
        (),
        (r"^\|",),
        (0, 25),
        resumes=True,
    ),
    Item(
        "wake",
        "the Navier-Stokes equations and the pressure behind a cylinder from velocities",
        "wake",
        None,
        (),
        (),
        (0, 30),
        writes=True,
    ),
    Item(
        "smoothing",
        "a network as a smoother of records, against Whittaker's and a spline",
        "smoothing",
        None,
        (),
        (r"^\|",),
        (0, 3),
        writes=True,
    ),
    Item(
        "wake modes",
        "the mean-field model from two modes and the shift mode of a cylinder's wake",
        "wake_modes",
        None,
        () if DATA.exists() else None,
        (),
        (0, 1),
    ),
    Item(
        "discovery",
        "laws of Lorenz, messy and chaotic systems, pysindy beside",
        "discovery",
        ("--quick", "--draws", "1", *_quick_file("discovery")),
        (),
        (r"^\|",),
        (0.6, 120),
        resumes=True,
    ),
    Item(
        "fields",
        "equations of noisy fields, pysindy's weak form beside",
        "field_discovery",
        ("--no-pysindy", "--only", *_FIELDS, *_quick_file("field_discovery")),
        (),
        (r"^\|",),
        (0.5, 60),
        resumes=True,
        seed=25,
    ),
    Item(
        "ensembles",
        "a thousand bootstraps of a law against pysindy, with the same members",
        "ensembles",
        ("--rounds", "1", "--sample", "20"),
        (),
        (r"\S",),
        (0.5, 3),
        writes=True,
    ),
    Item(
        "laws",
        "evaluating and solving a discovered law against pysindy",
        "laws",
        ("--rounds", "1"),
        (),
        (r"\S",),
        (0.3, 1),
        writes=True,
    ),
)


def item_named(name: str) -> Item:
    """Return the item of that name; KeyError if there is none."""
    return {item.name: item for item in ITEMS}[name]
