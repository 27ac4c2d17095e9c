"""The two models that every server of the matrix serves: a classifier of iris' shape, and an echo of four types."""

import math
from typing import Any

import numpy as np

from charkh.endpoints.servable import Servable
from charkh.ports.runtimes import Signature, Tensors, TensorSpec

IRIS = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, 4)),),
    outputs=(TensorSpec(name="predict", datatype="INT64", shape=(-1, 1)),),
)
ECHOED = (
    TensorSpec(name="hour", datatype="INT64", shape=(-1, 1)),
    TensorSpec(name="origin", datatype="BYTES", shape=(-1, 1)),
    TensorSpec(name="wind", datatype="FP32", shape=(-1, 2)),
    TensorSpec(name="late", datatype="BOOL", shape=(-1, 1)),
)
ECHO = Signature(inputs=ECHOED, outputs=ECHOED)


def classify(inputs: Tensors) -> Tensors:
    """1 where the sum of a row is above 3."""
    return {"predict": (inputs["x"].sum(axis=1, keepdims=True) > math.pi).astype(np.int64)}


def echo(inputs: Tensors) -> Tensors:
    """The inputs."""
    return dict(inputs)


def servables() -> list[Servable]:
    """Both, as charkh serves them."""
    return [
        Servable(name="iris", version="1", subject="model:1", signature=IRIS, predict=classify),
        Servable(name="echo", version="1", subject="model:2", signature=ECHO, predict=echo),
    ]


def mlserver_settings(name: str, implementation: str, signature: Signature, uri: str = "") -> dict[str, Any]:
    """MLServer's `model-settings.json` of a model."""

    def described(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
        return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in specs]

    settings: dict[str, Any] = {
        "name": name,
        "implementation": implementation,
        "platform": "python",
        "versions": ["1"],
        "inputs": described(signature.inputs),
        "outputs": described(signature.outputs),
        "parameters": {"version": "1"},
    }
    if uri:
        settings["parameters"] = {"version": "1", "uri": uri}
    return settings


MLSERVER_ECHO = """\
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


class Echo(MLModel):
    async def predict(self, payload):
        outputs = []
        for each in payload.inputs:
            codec = StringCodec if each.datatype == "BYTES" else NumpyCodec
            values = self.decode(each, default_codec=codec)
            outputs.append(codec.encode_output(each.name, values))
        return InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id, outputs=outputs)
"""

MLSERVER_IRIS = """\
import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

x = np.random.default_rng(0).normal(size=(100, 4))
joblib.dump(LogisticRegression().fit(x, (x.sum(axis=1) > 0).astype(int)), "iris/model.joblib")
"""
"""A script that trains the classifier for MLServer's own scikit-learn runtime."""
