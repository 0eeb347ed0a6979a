"""Every tensor kernel gives the same on a GPU, and asks nowhere where its numbers lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import devices
from benchmarks.device_kernels import KERNELS, Kernel, Place

KERNEL = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here that torch can use")
CPU = torch.device("cpu")


@GPU
@KERNEL
@pytest.mark.parametrize("points", [100, 3000])
def test_gpu_and_processor_agree_in_float64(kernel: Kernel, points: int) -> None:
    here, there = (kernel.make(Place(points, torch.device(name)))() for name in ("cpu", "cuda"))
    assert {tensor.device.type for tensor in there.values()} == {"cuda"}
    assert devices.deviation(there, here) < 1e-10


@GPU
@KERNEL
def test_a_cuda_graph_gives_what_its_kernel_gives(kernel: Kernel) -> None:
    if not kernel.graph:
        pytest.skip("not claimed for this kernel: its factorisation takes work space as it goes")
    device = torch.device("cuda")
    task = kernel.make(Place(500, device))
    assert devices.deviation(devices.captured(task, device)(), task()) < 1e-10


@GPU
def test_a_training_on_the_gpu_ends_where_the_processors_does() -> None:
    here, there = (devices.training(torch.device(name), "float64", 20) for name in ("cpu", "cuda"))
    assert there["error"] == pytest.approx(here["error"], rel=1e-2)


@KERNEL
def test_kernels_run_on_the_meta_device(kernel: Kernel) -> None:
    """What works without numbers cannot read any, so it makes no assumption on where they are and waits for none."""
    results = kernel.make(Place(600, torch.device("meta")))()
    exact = kernel.make(Place(600, CPU))()
    assert {tensor.device.type for tensor in results.values()} == {"meta"}
    assert {tensor.dtype for tensor in results.values()} == {torch.float64}
    assert set(results) == set(exact)
    assert all(results[name].ndim == exact[name].ndim for name in exact)


@KERNEL
def test_single_precision_stays_single_and_close(kernel: Kernel) -> None:
    if kernel.double:
        pytest.skip("meant for float64 alone: in float32 other terms are selected")
    single, double = (kernel.make(Place(600, CPU, dtype))() for dtype in (torch.float32, torch.float64))
    assert {tensor.dtype for tensor in single.values()} == {torch.float32}
    assert devices.deviation(single, double) < 1e-3


@KERNEL
def test_kernels_have_equal_inputs_every_time(kernel: Kernel) -> None:
    first, second = (kernel.make(Place(300, CPU))() for _ in range(2))
    assert devices.deviation(second, first) < 1e-13


def test_the_command_says_that_there_is_no_gpu(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.main(["--device", "cuda"]) == 1
    assert "no GPU" in capsys.readouterr().err


def test_the_command_writes_what_it_prints(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "devices.json"
    assert devices.main(["--points", "600", "--repeat", "1", "--iterations", "2", "--json", str(file)]) == 0
    printed, written = capsys.readouterr().out, json.loads(file.read_text())
    assert "its columns are missing" in printed
    assert {record["kernel"] for record in written["kernels"]} == {kernel.name for kernel in KERNELS}
    assert [record["precision"] for record in written["trainings"]] == ["float64", "float32"]
    assert all(kernel.name in printed for kernel in KERNELS)
