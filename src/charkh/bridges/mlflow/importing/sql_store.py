"""An MLflow store in SQLite or PostgreSQL, of MLflow 1.x to 3.x, read through the tables that are known here.

Nothing is written, and no table is asked for a column that it has not: older schemas lack some. SQLite files are opened
read-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import MetaData, Table, create_engine, func, inspect, select
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from charkh.bridges.mlflow.exchanged import (
    DatasetInput,
    Experiment,
    Files,
    KeyPoints,
    Logged,
    MeasuredBy,
    MlflowRun,
    Registered,
    Trouble,
    Version,
)
from charkh.bridges.mlflow.importing.places import Places
from charkh.bridges.mlflow.importing.yaml_files import moment_of
from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.models.logged import Measurement

AT_ONCE = 200
LOGGED_STATUSES = {1: "pending", 2: "ready", 3: "failed"}
_NEEDED = ("experiments", "runs", "params", "tags", "metrics")
_KNOWN = (
    *_NEEDED,
    "experiment_tags",
    "datasets",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_params",
    "logged_model_tags",
    "logged_model_metrics",
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)
_LEFT = {
    "trace_info": "trace",
    "assessments": "assessment",
    "evaluation_datasets": "evaluation dataset",
    "scorers": "scorer",
    "webhooks": "webhook",
    "endpoints": "gateway endpoint",
}
"""Tables of what is not carried, and what a row of each is."""

Row = Mapping[str, Any]


class SqlStore:
    """Reads a database.

    Args:
        uri: `sqlite:///…` or `postgresql://…`.
        buckets: read artifacts in object stores, too.
        artifact_root: where artifacts lie that the addresses do not lead to.

    Raises:
        Invalid: it is no such address.
        NotFound: it is no store of MLflow's.
        Unavailable: the database cannot be reached.
    """

    def __init__(self, uri: str, *, buckets: bool = False, artifact_root: Path | None = None) -> None:
        self.trouble: list[Trouble] = []
        self._places = Places([artifact_root] if artifact_root else [], buckets=buckets)
        self._engine = _engine(uri)
        try:
            names = set(inspect(self._engine).get_table_names())
            missing = [name for name in _NEEDED if name not in names]
            if missing:
                self._engine.dispose()
                raise NotFound(
                    f"{_shown(uri)} is no store of MLflow's: it has no table {missing[0]!r}",
                    code="mlflow.no_store",
                    hint="Give what `mlflow server --backend-store-uri` is given.",
                )
            metadata = MetaData()
            self._tables = {
                name: Table(name, metadata, autoload_with=self._engine, resolve_fks=False)
                for name in (*_KNOWN, *_LEFT)
                if name in names
            }
            self._connection: Connection = self._engine.connect()
        except (DBAPIError, SQLAlchemyError) as error:
            raise _unreadable(uri, error) from error

    def experiments(self) -> Iterator[Experiment]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        tags = self._pairs("experiment_tags", "experiment_id")
        for row in self._rows("experiments", order="experiment_id"):
            identifier = str(row["experiment_id"])
            yield Experiment(
                id=identifier,
                name=row["name"],
                location=row.get("artifact_location") or "",
                created=moment_of(row.get("creation_time")),
                updated=moment_of(row.get("last_update_time")),
                tags=tags.get(identifier, {}),
                deleted=row.get("lifecycle_stage") == "deleted",
            )

    def runs(self, experiment: str) -> Iterator[MlflowRun]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        rows = list(self._rows("runs", order="start_time", experiment_id=int(experiment)))
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            ids = [row["run_uuid"] for row in some]
            params = self._pairs("params", "run_uuid", ids)
            tags = self._pairs("tags", "run_uuid", ids)
            inputs, used, made = self._inputs(ids)
            for row in some:
                identifier = row["run_uuid"]
                own = tags.get(identifier, {})
                yield MlflowRun(
                    id=identifier,
                    experiment=experiment,
                    name=own.get("mlflow.runName", "") or row.get("name") or "",
                    user=row.get("user_id") or "",
                    status=row.get("status") or "RUNNING",
                    began=moment_of(row.get("start_time")),
                    ended=moment_of(row.get("end_time")) or None,
                    deleted=row.get("lifecycle_stage") == "deleted",
                    location=row.get("artifact_uri") or "",
                    params=params.get(identifier, {}),
                    tags=own,
                    inputs=tuple(inputs.get(identifier, ())),
                    used=tuple(used.get(identifier, ())),
                    made=made.get(identifier, {}),
                )

    def points(self, run: MlflowRun) -> Iterator[KeyPoints]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        import numpy as np  # whoever imports loads it

        table = self._tables["metrics"]
        columns = [table.c[name] for name in ("key", "timestamp", "value", "step", "is_nan") if name in table.c]
        statement = select(*columns).where(table.c.run_uuid == run.id).order_by(table.c.key, table.c.timestamp)
        found = self._connection.execute(statement).all()
        start = 0
        while start < len(found):
            key, end = found[start].key, start
            while end < len(found) and found[end].key == key:
                end += 1
            part = found[start:end]
            values = np.array([each.value for each in part], np.float64)
            if "is_nan" in table.c:
                values[np.array([bool(each.is_nan) for each in part])] = np.nan
            steps = [each.step or 0 for each in part] if "step" in table.c else [0] * len(part)
            times = np.array([each.timestamp for each in part], np.int64) * 1000
            yield KeyPoints(key, np.array(steps, np.int64), times, values)
            start = end

    def logged(self, experiment: str) -> Iterator[Logged]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        if "logged_models" not in self._tables:
            return
        rows = list(self._rows("logged_models", order="creation_timestamp_ms", experiment_id=int(experiment)))
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            ids = [row["model_id"] for row in some]
            params = self._pairs("logged_model_params", "model_id", ids, key="param_key", value="param_value")
            tags = self._pairs("logged_model_tags", "model_id", ids, key="tag_key", value="tag_value")
            metrics = self._measured(ids)
            for row in some:
                identifier = row["model_id"]
                yield Logged(
                    id=identifier,
                    experiment=experiment,
                    name=row.get("name") or "",
                    run=row.get("source_run_id") or "",
                    type=row.get("model_type") or "",
                    created=moment_of(row.get("creation_timestamp_ms")),
                    status=LOGGED_STATUSES.get(row.get("status") or 2, "ready"),
                    message=row.get("status_message") or "",
                    location=row.get("artifact_location") or "",
                    params=params.get(identifier, {}),
                    tags=tags.get(identifier, {}),
                    metrics=tuple(metrics.get(identifier, ())),
                    deleted=row.get("lifecycle_stage") == "deleted",
                )

    def registered(self) -> Iterator[Registered]:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        if "registered_models" not in self._tables:
            return
        tags = self._pairs("registered_model_tags", "name")
        aliases: dict[str, dict[str, int]] = {}
        for row in self._rows("registered_model_aliases"):
            aliases.setdefault(row["name"], {})[row["alias"]] = int(row["version"])
        said: dict[tuple[str, int], dict[str, str]] = {}
        for row in self._rows("model_version_tags"):
            said.setdefault((row["name"], int(row["version"])), {})[row["key"]] = row["value"] or ""
        versions: dict[str, list[Version]] = {}
        for row in self._rows("model_versions", order="version"):
            if row.get("current_stage") != "Deleted_Internal":
                number = int(row["version"])
                versions.setdefault(row["name"], []).append(_version(row, number, said.get((row["name"], number), {})))
        for row in self._rows("registered_models", order="name"):
            yield Registered(
                name=row["name"],
                description=row.get("description") or "",
                created=moment_of(row.get("creation_time")),
                tags=tags.get(row["name"], {}),
                aliases=aliases.get(row["name"], {}),
                versions=tuple(versions.get(row["name"], ())),
            )

    def left(self) -> dict[str, int]:
        """Traces and what else is in tables that nothing here reads."""
        found: dict[str, int] = {}
        for name, what in _LEFT.items():
            if name in self._tables:
                count = self._connection.execute(select(func.count()).select_from(self._tables[name])).scalar()
                found |= {what: count} if count else {}
        return found

    def files(self, location: str, owner: str) -> Files | str:
        """See `charkh.bridges.mlflow.exchanged.Source`."""
        return self._places.files(location, owner)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
        self._engine.dispose()

    def _rows(self, name: str, *, order: str = "", **equal: object) -> Iterator[Row]:
        table = self._tables.get(name)
        if table is None:
            return
        statement = select(table)
        for column, value in equal.items():
            statement = statement.where(table.c[column] == value)
        if order in table.c:
            statement = statement.order_by(table.c[order])
        yield from (dict(row) for row in self._connection.execute(statement).mappings())

    def _among(self, name: str, column: str, ids: Sequence[str]) -> Iterator[Row]:
        table = self._tables.get(name)
        if table is not None:
            statement = select(table).where(table.c[column].in_(ids))
            yield from (dict(row) for row in self._connection.execute(statement).mappings())

    def _pairs(
        self, name: str, owner: str, ids: Sequence[str] | None = None, *, key: str = "key", value: str = "value"
    ) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for row in self._rows(name) if ids is None else self._among(name, owner, ids):
            found.setdefault(str(row[owner]), {})[row[key]] = row[value] if row[value] is not None else ""
        return found

    def _inputs(
        self, runs: Sequence[str]
    ) -> tuple[dict[str, list[DatasetInput]], dict[str, list[str]], dict[str, dict[str, int]]]:
        inputs: dict[str, list[DatasetInput]] = {}
        used: dict[str, list[str]] = {}
        made: dict[str, dict[str, int]] = {}
        rows = [row for row in self._among("inputs", "destination_id", runs) if row["source_type"] == "DATASET"]
        tags = self._pairs("input_tags", "input_uuid", [row["input_uuid"] for row in rows], key="name")
        data = {
            row["dataset_uuid"]: row for row in self._among("datasets", "dataset_uuid", [r["source_id"] for r in rows])
        }
        for row in rows:
            dataset = data.get(row["source_id"])
            if dataset is not None:
                inputs.setdefault(row["destination_id"], []).append(_dataset(dataset, tags.get(row["input_uuid"], {})))
        for row in self._among("inputs", "source_id", runs):
            model = row["destination_id"]
            if row["source_type"] == "RUN_OUTPUT":
                made.setdefault(row["source_id"], {})[model] = int(row.get("step") or 0)
            elif row["source_type"] == "RUN_INPUT":
                used.setdefault(row["source_id"], []).append(model)
        return inputs, used, made

    def _measured(self, ids: Sequence[str]) -> dict[str, list[MeasuredBy]]:
        found: dict[str, list[MeasuredBy]] = {}
        for row in self._among("logged_model_metrics", "model_id", ids):
            said = Measurement(
                key=row["metric_name"],
                value=float(row["metric_value"]) if row["metric_value"] is not None else float("nan"),
                time=int(row["metric_timestamp_ms"]),
                step=int(row["metric_step"]),
                dataset=row.get("dataset_name") or "",
                digest=row.get("dataset_digest") or "",
            )
            found.setdefault(row["model_id"], []).append(MeasuredBy(run=row["run_id"], value=said))
        return found


def _engine(uri: str) -> Engine:
    try:
        url = make_url(uri)
    except ArgumentError as error:
        raise Invalid(f"{_shown(uri)} is no address of a database", code="mlflow.bad_uri") from error
    dialect = url.get_backend_name()
    try:
        if dialect == "sqlite":
            path = Path(url.database or "")
            if not path.is_file():
                raise NotFound(f"there is no file {path}", code="mlflow.no_store", hint="sqlite:///mlflow.db, say.")
            return create_engine(f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true")
        if dialect == "postgresql":
            return create_engine(url.set(drivername="postgresql+psycopg"))
    except ImportError as error:
        raise Unavailable(
            "no driver for PostgreSQL is installed", code="mlflow.no_driver", hint="pip install 'charkh[postgres]'"
        ) from error
    raise Invalid(
        f"charkh reads MLflow's stores in SQLite and PostgreSQL, not in {dialect}",
        code="mlflow.bad_uri",
        hint="Start `mlflow server` over it, and give the server's address.",
    )


def _version(row: Row, number: int, tags: dict[str, str]) -> Version:
    return Version(
        number=number,
        source=row.get("source") or "",
        storage=row.get("storage_location") or "",
        run=row.get("run_id") or "",
        stage=row.get("current_stage") or "None",
        description=row.get("description") or "",
        link=row.get("run_link") or "",
        created=moment_of(row.get("creation_time")),
        tags=tags,
    )


def _dataset(row: Row, tags: dict[str, str]) -> DatasetInput:
    return DatasetInput(
        name=row["name"],
        digest=row["digest"],
        source_type=row.get("dataset_source_type") or "",
        source=row.get("dataset_source") or "",
        schema=row.get("dataset_schema") or "",
        profile=row.get("dataset_profile") or "",
        tags=tags,
    )


def _shown(uri: str) -> str:
    try:
        return make_url(uri).render_as_string(hide_password=True)
    except ArgumentError:
        return repr(uri.partition("@")[2] or uri[:40])


def _unreadable(uri: str, error: Exception) -> Unavailable:
    first = str(getattr(error, "orig", None) or error).splitlines()[0]
    return Unavailable(
        f"{_shown(uri)} cannot be read: {first[:200]}",
        code="mlflow.unreadable",
        hint="Look whether the database is up and the user may read it.",
    )
