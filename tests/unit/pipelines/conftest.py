"""Pipelines written to a file, edited and loaded again, on a store in memory."""

import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.pipelines.index import PROJECTION
from charkh.pipelines.load import load_pipelines
from charkh.pipelines.pipeline import Pipeline
from charkh.pipelines.plan import Plan, plan
from charkh.pipelines.run import PipelineResult, run_pipeline
from charkh.ports.store import Store
from charkh.runs.index import PROJECTION as RUNS
from charkh.testing.stores import memory_store

FLOW = '''
"""A flow."""
import charkh_step_names as names
from charkh_step_names import Params, half

FACTOR = 2


@names.step
def prepare(count: int) -> list[int]:
    """Make numbers."""
    return [number * FACTOR for number in range(count)]


@names.step
def train(data: list[int], p: Params) -> float:
    return half(sum(data)) * p.rate


@names.pipeline
def flow(p: Params = Params()) -> float:
    data = prepare(p.count)
    return train(data, p)
'''

NAMES = """
from charkh.core.params import Params as Base
from charkh.pipelines.pipeline import pipeline
from charkh.pipelines.step import step


class Params(Base):
    count: int = 4
    rate: float = 0.5


def half(value: float) -> float:
    return value / 2
"""


class Desk:
    """A workspace folder, its flow, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = new_store()
        self.write(FLOW)
        self.write(NAMES, "charkh_step_names.py")

    def write(self, text: str, name: str = "charkh_flow.py") -> None:
        (self.folder / name).write_text(text)

    def edit(self, old: str, new: str, name: str = "charkh_flow.py") -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(text.replace(old, new), name)

    def load(self) -> Pipeline[..., Any]:
        """The flow as a new process would load it."""
        forget_modules()
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
        return load_pipelines("charkh_flow.py", self.folder)["flow"]

    def run(self, **more: Any) -> PipelineResult:
        return run_pipeline(self.store, self.load(), folder=self.folder, **more)

    def plan(self, **more: Any) -> Plan:
        return plan(self.store, self.load(), folder=self.folder, **more)

    def outcomes(self, **more: Any) -> list[str]:
        """`prepare: reused`, in order."""
        return [f"{step.short_name}: {step.outcome}" for step in self.run(**more).steps]

    def why(self, name: str, **more: Any) -> tuple[str, ...]:
        """The reasons for which a step was executed."""
        (step,) = [step for step in self.run(**more).steps if step.short_name == name and step.outcome != "reused"]
        return step.reasons


def new_store() -> Store:
    return memory_store(PROJECTION, RUNS, LINEAGE)


def forget_modules() -> None:
    for name in [name for name in sys.modules if name.startswith("charkh_")]:
        del sys.modules[name]


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk]:
    path = list(sys.path)
    try:
        yield Desk(tmp_path)
    finally:
        sys.path[:] = path
        forget_modules()
