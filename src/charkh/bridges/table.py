"""The table of bridges: what each carries, which commands cross it, and what has to be installed."""

from typing import NamedTuple


class Bridge(NamedTuple):
    """One bridge.

    Attributes:
        name: as it stands in commands and in `docs/bridges/NAME.md`; its module below `charkh.bridges` has `_` for `-`.
        what: what is carried, in a line.
        commands: that cross it.
        extra: of the package that it needs, or empty.
    """

    name: str
    what: str
    commands: tuple[str, ...]
    extra: str = ""

    @property
    def module(self) -> str:
        """Its module or package."""
        return f"charkh.bridges.{self.name.replace('-', '_')}"


BRIDGES: tuple[Bridge, ...] = (
    Bridge(
        "alertmanager",
        "Alerts of monitors pushed to Prometheus' Alertmanager, and its notifications read.",
        ("webhook add", "up"),
    ),
    Bridge(
        "autolog",
        "What training libraries do, recorded where they train: scikit-learn, XGBoost, Lightning and others.",
        (),
    ),
    Bridge(
        "dvc",
        "Versions of files and folders, with their history, to and from DVC's cache and remotes; its stages.",
        ("import dvc", "export dvc", "dvc repro", "dvc list"),
        "dvc",
    ),
    Bridge("git-lfs", "Versions of files with their history, from the pointers in Git.", ("import git-lfs",)),
    Bridge(
        "croissant",
        "What a dataset version is, as Croissant 1.1, with its files where they are wanted.",
        ("export croissant",),
    ),
    Bridge(
        "modelpack",
        "A model version with its signature, card and bill of materials as an OCI image layout (CNCF ModelPack).",
        ("export model",),
    ),
    Bridge(
        "openlineage",
        "What a dataset version is, and what runs and steps did, as OpenLineage events with their facets.",
        ("export openlineage",),
    ),
    Bridge(
        "mlflow",
        "Runs, metrics, files and models of unmodified MLflow clients over REST; whole stores both ways; folders.",
        ("up", "import mlflow", "export mlflow"),
    ),
    Bridge(
        "tensorboard",
        "Event files as runs, once or as they grow, and runs as event files; the writer that training scripts use.",
        ("import tensorboard", "export tensorboard"),
    ),
    Bridge(
        "kubernetes",
        "An endpoint as plain objects of a cluster: pods that read a team's store, probes, scaling, network policy.",
        ("endpoint export",),
        "manifests",
    ),
    Bridge(
        "kserve",
        "InferenceService and InferenceGraph manifests, run here and written; KServe's first protocol.",
        ("serve -f", "endpoint export"),
        "manifests",
    ),
    Bridge("mlserver", "Folders with MLServer's model-settings.json, served as they are.", ("serve -f",)),
    Bridge(
        "seldon",
        "SeldonDeployment, Model, Pipeline and Experiment manifests, run here and written; Seldon's first protocol.",
        ("serve -f", "endpoint export"),
        "manifests",
    ),
    Bridge(
        "prometheus",
        "Rules over what endpoints count and monitors find, a configuration that scrapes it, and where servers are.",
        ("export prometheus",),
    ),
    Bridge(
        "grafana",
        "Dashboards over what Prometheus has scraped, with links that stay, and the files that provision them.",
        ("export grafana",),
    ),
    Bridge("otlp", "Spans of inference requests, by OpenTelemetry's protocol over HTTP.", ("up", "serve")),
    Bridge("wandb", "Scripts written for Weights & Biases, recorded here with one import changed.", ()),
    Bridge("trackio", "Scripts written for trackio, recorded here with one import changed.", ()),
    Bridge(
        "dlt",
        "Rows of a dlt resource or source, run by dlt itself, as versions of a dataset.",
        ("source fetch",),
    ),
    Bridge(
        "mcp",
        "An assistant's questions, by the Model Context Protocol.",
        ("mcp",),
        "mcp",
    ),
)
