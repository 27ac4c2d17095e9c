"""Run by DVC's own Python: what DVC makes of `dvc.yaml` in the current folder, as JSON."""

import json
import sys
from typing import Any

from dvc.exceptions import DvcException
from dvc.parsing import DataResolver
from dvc.repo import Repo
from dvc.utils.serialize import load_path


def resolved(repo: Repo, path: str) -> dict[str, Any]:
    try:
        return {"stages": DataResolver(repo, ".", load_path(path, repo.fs)).resolve()["stages"]}
    except DvcException as error:
        return {"error": str(error)}


if __name__ == "__main__":
    opened = Repo(".")
    sys.stdout.write(json.dumps([resolved(opened, path) for path in sys.argv[1:]]))
