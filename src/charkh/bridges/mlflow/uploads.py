"""Large files in parts: the client asks for places, puts the parts there, and says that it is done.

The parts lie in the store's scratch folder, so that any of several server processes may take any of them. The address
of a part holds the upload's id, 256 random bits: MLflow's client sends no token there.
"""

import json
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from charkh.bridges.mlflow.artifacts import keep_file, located, safe_path
from charkh.bridges.mlflow.call import Call, Raw, Route, as_fields, bad
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.workspace.workspace import Workspace

MAX_PARTS = 10_000
MAX_PART = 5 * 1024**3
MAX_UPLOADS = 200
KEPT_SECONDS = 24 * 3600.0
"""An upload that was begun longer ago and never completed is removed."""

_ID = re.compile(r"[0-9a-f]{64}")
_PLACE = "place.json"


def create(call: Call) -> dict[str, Any]:
    """Begin an upload in parts: its id, and where each part goes."""
    place, count = _place(call), call.whole("num_parts", 1)
    if not 1 <= count <= MAX_PARTS:
        raise bad("num_parts", count)
    located(call, place)
    sweep(call.workspace)
    if len(list(_root(call.workspace).glob("*"))) >= MAX_UPLOADS:
        raise MlflowError("REQUEST_LIMIT_EXCEEDED", f"{MAX_UPLOADS} uploads are under way; try again later.")
    upload = secrets.token_hex(32)
    folder = _root(call.workspace) / upload
    folder.mkdir(parents=True)
    (folder / _PLACE).write_text(json.dumps({"place": place, "parts": count}))
    host = call.headers.get("host", "")
    proto = call.headers.get("x-forwarded-proto", "")
    scheme = proto if proto in {"http", "https"} else "http"
    base = f"{scheme}://{host}{call.root}/api/2.0/mlflow-artifacts/mpu/parts/{upload}"
    return {
        "upload_id": upload,
        "credentials": [
            {"url": f"{base}/{number}", "part_number": number, "headers": {}} for number in _numbers(count)
        ],
    }


def put_part(call: Call) -> Raw:
    """Keep one part; sent again, it takes the place of what was there."""
    folder, number = _folder(call, call.path_values["upload"]), call.path_values["part"]
    told = _told(folder)
    if call.upload is None or not number.isdecimal() or int(number) not in _numbers(told["parts"]):
        raise bad("part_number", number)
    target = folder / f"part-{int(number)}"
    call.upload.replace(target)
    return Raw(b"", headers=(("etag", f'"{target.stat().st_size:x}-{int(number)}"'),))


def complete(call: Call) -> None:
    """Let the parts, in order, be the file."""
    folder = _folder(call, call.text("upload_id"))
    told = _told(folder)
    if _place(call) != told["place"]:
        raise invalid("The upload was begun for another path.")
    located(call, told["place"])
    numbers = sorted(int(part.get("part_number", 0)) for part in call.items("parts")) or list(_numbers(told["parts"]))
    if numbers != list(_numbers(told["parts"])):
        raise invalid(f"The upload has {told['parts']} parts, and {len(numbers)} were named.")
    whole = folder / "whole"
    with whole.open("wb") as target:
        for number in numbers:
            try:
                with (folder / f"part-{number}").open("rb") as part:
                    shutil.copyfileobj(part, target, 1 << 20)
            except FileNotFoundError:
                raise invalid(f"Part {number} has not been uploaded.") from None
    keep_file(call, located(call, told["place"]), whole)
    shutil.rmtree(folder, ignore_errors=True)


def abort(call: Call) -> None:
    """Give an upload up."""
    folder = _folder(call, call.text("upload_id"))
    located(call, _told(folder)["place"])
    shutil.rmtree(folder, ignore_errors=True)


def sweep(workspace: Workspace) -> None:
    """Remove what was uploaded in part and given up, and what a killed server left behind."""
    now = time.time()
    left = [*_root(workspace).glob("*"), *workspace.scratch.glob("upload-*")]
    for each in left:
        try:
            old = now - each.stat().st_mtime > KEPT_SECONDS
        except FileNotFoundError:
            continue
        if old and each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        elif old:
            each.unlink(missing_ok=True)


def _place(call: Call) -> str:
    """The path of the file: where it goes, and its base name on the client's machine."""
    folder = safe_path(call.path_values["path"])
    name = call.text("path").replace("\\", "/").rpartition("/")[2]
    return safe_path(f"{folder}/{name}" if folder else name)


def _root(workspace: Workspace) -> Path:
    return workspace.scratch / "mlflow-parts"


def _folder(call: Call, upload: str) -> Path:
    folder = _root(call.workspace) / upload
    if not _ID.fullmatch(upload) or not folder.is_dir():
        raise MlflowError(MISSING, "There is no such upload: it was completed, given up, or begun too long ago.")
    return folder


def _told(folder: Path) -> dict[str, Any]:
    return as_fields(json.loads((folder / _PLACE).read_text())) or {}


def _numbers(count: int) -> range:
    return range(1, count + 1)


ROUTES = (
    Route("POST", "/mlflow-artifacts/mpu/create/{path...}", create, "writer"),
    Route("POST", "/mlflow-artifacts/mpu/complete/{path...}", complete, "writer"),
    Route("POST", "/mlflow-artifacts/mpu/abort/{path...}", abort, "writer"),
    Route("PUT", "/mlflow-artifacts/mpu/parts/{upload}/{part}", put_part, "open", body="file", limit=MAX_PART),
)
