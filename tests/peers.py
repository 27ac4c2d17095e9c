"""The peers' Python packages that the tests run, each in an environment of its own below `.peers/`.

python -m tests.peers          # install what is missing; `make test` does it before the tests close the network
@pytest.mark.needs("peer:dvc")
def test_something() -> None: peer_program("dvc", "dvc") ...
"""

import json
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE: tuple[str, ...] = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
"""What charkh itself needs, where a peer's environment runs it from `src/`."""

PEERS: dict[str, tuple[str, ...]] = {
    "autolog": (
        *CORE,
        "catboost==1.2.10",
        "lightgbm==4.6.0",
        "scikit-learn==1.7.2",
        "statsmodels==0.15.0",
        "xgboost-cpu==3.0.5",
    ),
    "autolog-deep": (
        *CORE,
        "accelerate>=1.3",
        "keras==3.12.0",
        "lightning==2.5.6",
        "torch==2.13.0",
        "transformers==4.57.1",
    ),
    "cyclonedx": ("cyclonedx-python-lib[json-validation]==11.5.0",),
    "croissant": ("mlcroissant>=1.1,<2",),
    "evidently": ("evidently==0.7.23", "pandas<3", "pyarrow"),
    "huggingface": ("huggingface_hub==2.4.0",),
    "modelsigning": ("model-signing==1.1.1", "pyopenssl==25.3.0"),
    "oidc": ("oidc-provider-mock==0.3.4",),
    "grafana": ("grafana-foundation-sdk==1769699998!10.1.0",),
    "otlp": ("opentelemetry-proto==1.30.0",),
    "openlineage": ("openlineage-python>=1.30,<2",),
    "dlt": ("dlt[filesystem,parquet]>=1.5,<2",),
    "dvc": ("dvc[s3]>=3.67,<4",),
    "kserve": ("kserve==0.21.0",),
    "kubernetes": ("kubernetes-validate==1.37.0",),
    "mlflow": ("mlflow==3.17.2",),
    "mlflow-models": (
        "mlflow==3.17.2",
        "lightgbm==4.7.0",
        "scikit-learn==1.9.1",
        "skops==0.16.0",
        "xgboost-cpu==3.2.0",
    ),
    "mlflow-postgres": ("mlflow==3.17.2", "psycopg2-binary==2.9.11"),
    "mlflow2": ("mlflow==2.22.2",),
    "great-expectations": ("great-expectations>=1.3,<2", "pyarrow"),
    "pandera": ("pandera[io,pandas]>=0.24,<1", "pyarrow"),
    "mlserver": ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22"),
    "schemathesis": ("schemathesis>=4,<5",),
    "smtp": ("aiosmtpd==1.4.6",),
    "tensorboard": ("tensorboard==2.21.0", "setuptools<81", "tensorboardX==2.6.5", "pillow>=10", "soundfile>=0.12"),
    "torch": (*CORE, "onnx>=1.16", "onnxruntime>=1.20", "pytest>=8,<10", "safetensors>=0.4.5", "torch==2.13.0"),
    "triton": ("tritonclient[all]==2.73.0",),
    "webhooks": ("standardwebhooks>=1.0,<2", "cloudevents>=1.11,<2"),
    "uv": ("uv>=0.9",),
}
"""Environments by name, and what is installed into each."""

FOLDER = ROOT / ".peers"


def peer_installed(name: str) -> bool:
    """Whether the environment is there with exactly what is asked for."""
    stamp = FOLDER / name / "requirements.json"
    return stamp.is_file() and stamp.read_text() == json.dumps(sorted(PEERS[name]))


def peer_program(name: str, program: str) -> Path:
    """A program of a peer's environment, such as `python`."""
    return FOLDER / name / "bin" / program


def main() -> int:
    """Install what is missing; 1 where something could not be."""
    sys.path.insert(0, str(FOLDER.parent))
    from benchmarks.harness import peer_python

    return int(any(peer_python(name, *wanted) is None for name, wanted in PEERS.items() if not peer_installed(name)))


if __name__ == "__main__":
    sys.exit(main())
