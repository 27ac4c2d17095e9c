"""The PyTorch runtime: its suite in PyTorch's own environment, and what it says where PyTorch is not there."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers import ROOT, peer_program

from charkh.runtimes.torch import TorchRuntime
from charkh.runtimes.torch_files import program_reasons
from charkh.runtimes.torch_operators import ATEN, is_known
from charkh.runtimes.torch_pickles import sample_reasons

SUITE = Path(__file__).parent / "suite" / "check_torch.py"


@pytest.mark.needs("peer:torch")
def test_the_suite_of_the_port_passes_with_pytorch(tmp_path: Path) -> None:
    settings = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(peer_program("torch", "python")), "-m", "pytest", "-q", "--noconftest", "-c", os.devnull]
    command += [f"--rootdir={tmp_path}", "-p", "no:cacheprovider", str(SUITE)]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


def test_a_file_is_judged_without_pytorch() -> None:
    runtime = TorchRuntime()
    assert "numpy" in runtime.libraries
    assert runtime.inspect({"model.pt": b"\x80\x02c__builtin__\nexec\n."}).runs_code
    assert not runtime.accepts({"a": 1})


@given(st.binary(max_size=200))
def test_no_bytes_make_the_readers_fail(data: bytes) -> None:
    assert program_reasons(data)
    assert sample_reasons(b"PK\x03\x04" + data)


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.empty.memory_format",
        "torch.ops.aten.add_.Tensor",
        "torch.ops.aten.add.__class__",
        "torch.ops.aten.add",
        "torch.ops.evil.add.Tensor",
        "torch.os.system",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.__loader__",
        "torch.sym_max.__globals__",
    ],
)
def test_an_operator_is_unknown_until_it_is_listed(target: str) -> None:
    assert not is_known(target)
    assert is_known("torch.ops.aten.add.Tensor")
    assert not {name for name in ATEN if name.endswith("_") or "from_file" in name or name.startswith("empty")}
