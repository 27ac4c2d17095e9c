"""A workspace that serves the models which Triton's examples ask for, and one of scikit-learn, over REST and gRPC."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.functional.conftest import Charkh
from tests.functional.test_server import Server, free_port
from tests.peers import peer_program

MODELS = """
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h
from sklearn.linear_model import LogisticRegression

from charkh.models.register import register
from charkh.workspace.workspace import open_workspace

NAMES = ("INPUT0", "INPUT1"), ("OUTPUT0", "OUTPUT1")


def graph(kind, nodes):
    inputs, outputs = ([h.make_tensor_value_info(name, kind, [None, 16]) for name in names] for names in NAMES)
    made = h.make_model(h.make_graph(nodes, "simple", inputs, outputs), opset_imports=[h.make_opsetid("", 17)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return made


simple = graph(T.INT32, [h.make_node("Add", NAMES[0], ["OUTPUT0"]), h.make_node("Sub", NAMES[0], ["OUTPUT1"])])
texts = graph(
    T.STRING,
    [
        *(h.make_node("Cast", [name], [f"{name}_int"], to=T.INT32) for name in NAMES[0]),
        h.make_node("Add", ["INPUT0_int", "INPUT1_int"], ["sum"]),
        h.make_node("Sub", ["INPUT0_int", "INPUT1_int"], ["difference"]),
        h.make_node("Cast", ["sum"], ["OUTPUT0"], to=T.STRING),
        h.make_node("Cast", ["difference"], ["OUTPUT1"], to=T.STRING),
    ],
)
numbers = np.zeros((2, 16), np.int32)
rows = {"hour": np.array([1.0, 9.0, 17.0, 22.0]), "wind": np.array([3.5, 2.0, 1.0, 2.0])}
delay = LogisticRegression().fit(np.column_stack(list(rows.values())), [0, 1, 1, 0])
with open_workspace() as workspace:
    for name, model, example in (
        ("simple", simple, dict.fromkeys(NAMES[0], numbers)),
        ("simple_string", texts, dict.fromkeys(NAMES[0], numbers.astype(str).astype(object))),
        ("delay", delay, rows),
    ):
        register(workspace.store, name, model, runtimes=workspace.runtimes, example=example)
"""


class Served:
    """A running `charkh serve`, and clients that are run against it in their own environments.

    Attributes:
        http: authority of REST.
        grpc: authority of gRPC.
    """

    def __init__(self, folder: Path) -> None:
        self._said: dict[tuple[object, ...], Any] = {}
        command = Charkh(folder)
        command("init")
        command.python(MODELS)
        names = ("simple", "simple_string", "delay")
        command.write("charkh.toml", "".join(f'[endpoint.{name}]\nmodel = "{name}@1"\n' for name in names))
        port = free_port()
        self.server = Server(folder, "serve", "--grpc-port", str(port))
        self.http, self.grpc = f"127.0.0.1:{self.server.port}", f"127.0.0.1:{port}"

    def run(self, peer: str, script: Path, *arguments: str) -> Any:
        """What a client's script printed as JSON; it is run once for all who ask.

        It is given REST's authority, gRPC's, the token and the arguments.
        """
        known = (peer, script, *arguments)
        if known in self._said:
            return self._said[known]
        words: Sequence[str | Path] = [peer_program(peer, "python"), script, self.http, self.grpc, self.server.token]
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-4000:]
        self._said[known] = json.loads(done.stdout.splitlines()[-1])
        return self._said[known]
