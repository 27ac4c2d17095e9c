"""Runs one dlt pipeline into a folder. It is run as a file by an interpreter that has dlt and need not have charkh.

Its one argument is a JSON document: `script` and `function` of the user's file, `name` of the pipeline, `out`, where
the files go to, `pipelines`, the folder where dlt keeps its state, and `answer`, the file that says what came.
"""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

DATASET = "data"


def main(spec: dict[str, str]) -> None:
    """Run the pipeline and write down its tables: by name, how dlt writes it and its files."""
    # What this folder had before is the state that charkh keeps; the destination is empty each time.
    os.environ["RESTORE_FROM_DESTINATION"] = "false"
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION", "true")
    dlt: Any = importlib.import_module("dlt")
    pipeline = dlt.pipeline(
        pipeline_name=spec["name"],
        destination=dlt.destinations.filesystem(bucket_url=Path(spec["out"]).as_uri()),
        dataset_name=DATASET,
        pipelines_dir=spec["pipelines"],
    )
    pipeline.run(_resource(Path(spec["script"]), spec["function"]), loader_file_format="parquet")
    tables: dict[str, dict[str, object]] = {}
    written = Path(spec["out"]) / DATASET
    for folder in sorted(written.iterdir()) if written.is_dir() else ():
        name = folder.name
        if not folder.is_dir() or name.startswith("_dlt"):
            continue
        table = pipeline.default_schema.tables.get(name, {})
        files = sorted(str(path) for path in folder.glob("*.parquet"))
        if files:
            tables[name] = {"writing": table.get("write_disposition", "append"), "files": files}
    Path(spec["answer"]).write_text(json.dumps({"tables": tables, "version": str(dlt.__version__)}))


def _resource(script: Path, function: str) -> Any:
    sys.path.insert(0, str(script.parent))
    described = importlib.util.spec_from_file_location(script.stem, script)
    if described is None or described.loader is None:
        raise SystemExit(f"{script} is no Python file")
    module = importlib.util.module_from_spec(described)
    sys.modules[script.stem] = module
    described.loader.exec_module(module)
    made = getattr(module, function, None)
    if made is None:
        raise SystemExit(f"{script} has no {function}")
    return made() if callable(made) else made


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
