"""The same scikit-learn models on charkh, on MLServer and on a bare Granian server, under the same load.

Logistic regression and a forest of 100 trees over 30 columns; 1 and 100 rows a request, as JSON and as binary tensors;
several numbers of connections. charkh validates, counts for Prometheus and logs every prediction; its 99th percentile
without the log stands beside that. MLServer is the faster of its workers 0 and 1 in each case; it has no binary
tensors, so its JSON stands beside them. The limits, on the loop of libuv as charkh is: a Granian server that answers
what came (one row), and one that decodes, asks the compiled model and encodes (100 rows). charkh itself listens with
llhttp on that loop; what these two libraries answer with nothing above them stands beside one row, too. Before
anything is timed, charkh's labels are compared with MLServer's.

Promise: one row at 16 connections 9 times MLServer on the first and 80 times on the forest, and 0.6 of the echo; 100
rows 2.5 and 12 times as JSON, 10 and 15 as binary, and 0.7 of the bare server; at 64 connections p99 at most 3 times
p50.

    python benchmarks/serving.py [--connections 2,16,64] [--seconds 3] [--rounds 3]
"""

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from harness import median, peer_python, report, version_of, workplace
from served import (
    MLSERVER,
    Body,
    Load,
    ask,
    body,
    charkh_command,
    configure_charkh,
    free_port,
    load,
    make_bare,
    make_charkh,
    make_mlserver,
    running,
    wrk,
)

MODELS = ("lr", "rf")
FIRST, MOST = 16, 64
AIMS = {("lr", 1, "json"): 9, ("rf", 1, "json"): 80, ("lr", 100, "json"): 2.5, ("rf", 100, "json"): 12}
AIMS |= {("lr", 100, "binary"): 10, ("rf", 100, "binary"): 15}
ROWS = """
import json, sys
from sklearn.datasets import load_breast_cancer
json.dump(load_breast_cancer()["data"][:100].tolist(), sys.stdout)
"""
COSTS = """
import json, sys, time
from pathlib import Path
import msgspec
from charkh.endpoints.instruments import Instruments
from charkh.endpoints.reader import reader_of
from charkh.endpoints.wire import InferRequest
from charkh.stores.meters_file import FileMeters
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import open_workspace
request = Path("body.json").read_bytes()
def cost(call, times=4000):
    best = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(times):
            call()
        best.append((time.perf_counter() - begin) / times * 1e6)
    return min(best)
with open_workspace(Path(".")) as workspace:
    servable = next(each for each in Serving(workspace)() if each.name == "lr")
    reader = reader_of(servable.signature)
    class Input(msgspec.Struct):
        name: str
        shape: list[int]
        datatype: str
        data: list[float]
    class Plain(msgspec.Struct):
        inputs: list[Input]
    import numpy as np
    decode = msgspec.json.Decoder(Plain).decode
    def plain():
        came = decode(request).inputs[0]
        np.array(came.data).reshape(came.shape)
    inputs = reader.read(request)[1]
    outputs = servable.predict(inputs)
    instrument = Instruments(FileMeters(None)).of("lr", "1")
    costs = {
        "validation": cost(lambda: reader.read(request)) - cost(plain),
        "metrics": cost(lambda: instrument.answered(200, 0.0001, 1, 0.00001, "E" * 54)),
        "log": cost(lambda: servable.log.record(inputs, outputs, 1)),
        "model": cost(lambda: servable.predict(inputs)),
    }
    json.dump({name: round(value, 2) for name, value in costs.items()}, sys.stdout)
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--connections", default="2,16,64")
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    if not wrk():
        sys.exit(1)
    python = peer_python("mlserver", *MLSERVER)
    counts = [int(each) for each in options.connections.split(",")]
    rows = json.loads(subprocess.run([sys.executable, "-c", ROWS], capture_output=True, text=True, check=True).stdout)
    with workplace() as folder:
        make_charkh(folder / "charkh")
        make_bare(folder / "bare")
        requests = {(count, form): body(rows[:count], binary=form == "binary") for count in (1, 100) for form in FORMS}
        measured = measure(folder, python, requests, counts, options.seconds, options.rounds)
        (folder / "charkh" / "body.json").write_bytes(requests[1, "json"].content)
        costs = subprocess.run(
            [sys.executable, "-c", COSTS], cwd=folder / "charkh", capture_output=True, text=True, check=True
        )
    tell(measured, json.loads(costs.stdout), counts, version_of(python, "mlserver"))


FORMS = ("json", "binary")
HOMES = {"echo": "bare", "loop": "bare", "bare": "bare", "charkh": "charkh", "unlogged": "charkh"}
"""The folder of a server that has another one's; `unlogged` is charkh that logs no prediction."""
Case = tuple[str, str, int, str, int]
"""Server, model, rows, form, connections."""


def measure(
    folder: Path,
    python: Path | None,
    requests: dict[tuple[int, str], Body],
    counts: list[int],
    seconds: int,
    rounds: int,
) -> dict[Case, list[Load]]:
    """Readings of every case; the servers take turns within a round, and never run side by side."""
    measured: dict[Case, list[Load]] = {}
    checked = False
    for number in range(rounds):
        for server in ("echo", "loop", "bare", "charkh", "unlogged", *(("mlserver0", "mlserver1") if python else ())):
            port = free_port()
            with ExitStack() as stack:
                home = folder / HOMES.get(server, server)
                if server in ("charkh", "unlogged"):
                    configure_charkh(home, capture=float(server == "charkh"))
                command = charkh_command(port)
                if server in ("echo", "loop", "bare"):
                    command = [sys.executable, f"{server}.py", port]
                elif server.startswith("mlserver"):
                    if not home.exists():
                        make_mlserver(home, python, int(server[-1]), port)
                    settings = json.loads((home / "settings.json").read_text())
                    (home / "settings.json").write_text(json.dumps({**settings, "http_port": port}))
                    command = [python.parent / "mlserver", "start", "."]
                first = requests[1, "json"]
                url = f"http://127.0.0.1:{port}/v2/models/{{}}/infer"
                stack.enter_context(running(command, url.format("lr"), home, first))
                if server == "mlserver0" and not checked:
                    said = {model: labels(ask(url.format(model), requests[100, "json"])) for model in MODELS}
                    checked = True
                    (folder / "labels.json").write_text(json.dumps(said))
                if server == "charkh":
                    own = {model: labels(ask(url.format(model), requests[100, "json"])) for model in MODELS}
                    (folder / "own.json").write_text(json.dumps(own))
                for case, (count, form) in ((case, case) for case in requests):
                    if (form == "binary" and server not in ("bare", "charkh")) or (
                        server in ("echo", "loop") and count > 1
                    ):
                        continue
                    for model in MODELS if server not in ("echo", "loop") else MODELS[:1]:
                        for connections in counts:
                            found = load(url.format(model), requests[case], connections, seconds, home)
                            measured.setdefault((server, model, count, form, connections), []).append(found)
        print(f"round {number + 1} of {rounds} is done", file=sys.stderr)
    if checked and json.loads((folder / "own.json").read_text()) != json.loads((folder / "labels.json").read_text()):
        raise SystemExit("charkh and MLServer do not say the same labels")
    return measured


def labels(answer: dict) -> list[int]:
    """The labels of an answer of either server."""
    found = next(each for each in answer["outputs"] if each["name"] == "predict")
    return [int(value) for value in found["data"]]


def tell(measured: dict[Case, list[Load]], costs: dict[str, float], counts: list[int], version: str | None) -> None:
    """The table, and the closing line."""

    def rate(server: str, model: str, rows: int, form: str, connections: int) -> float | None:
        found = measured.get((server, model, rows, form, connections))
        return median([each.rate for each in found]) if found else None

    first = FIRST if FIRST in counts else counts[0]
    last = MOST if MOST in counts else counts[-1]
    table, kept = [], []
    for model in MODELS:
        for rows, form in ((1, "json"), (1, "binary"), (100, "json"), (100, "binary")):
            for connections in counts:
                mine = rate("charkh", model, rows, form, connections)
                peers = [rate(peer, model, rows, "json", connections) for peer in ("mlserver0", "mlserver1")]
                known = [each for each in peers if each]
                peer = max(known, default=None)
                limit = rate("echo", "lr", 1, "json", connections) if rows == 1 else None
                limit = limit or rate("bare", model, rows, form, connections)
                loads = measured["charkh", model, rows, form, connections]
                line = {
                    "model": model,
                    "rows": rows,
                    "form": form,
                    "connections": connections,
                    "charkh": round(mine),
                    "mlserver": round(peer) if peer else None,
                    "workers": peers.index(peer) if peer else None,
                    "limit": round(limit),
                    "ratio_to_peer": round(mine / peer, 2) if peer else None,
                    "ratio_to_limit": round(mine / limit, 2),
                    "p99_over_p50": round(median([each.most / each.half for each in loads]), 1),
                    "p99_ms": round(median([each.most for each in loads]) * 1e3, 2),
                    "refused": sum(each.errors for each in loads),
                }
                bare_loop = rate("loop", "lr", 1, "json", connections) if rows == 1 else None
                if bare_loop:
                    line["ratio_to_loop"] = round(mine / bare_loop, 2)
                without = measured.get(("unlogged", model, rows, form, connections))
                if without:
                    line["p99_ms_unlogged"] = round(median([each.most for each in without]) * 1e3, 2)
                table.append(line)
                print(json.dumps(line), file=sys.stderr)
                aim = AIMS.get((model, rows, form))
                if connections == first and aim:
                    kept.append((line["ratio_to_peer"] or 0) >= aim)
                    kept.append(line["ratio_to_limit"] >= (0.6 if rows == 1 else 0.7))
                if connections == last:
                    kept.append(line["p99_over_p50"] <= 3)
    one = next(each for each in table if (each["model"], each["rows"], each["form"]) == ("lr", 1, "json"))
    one = next((each for each in table if each["connections"] == first and each["rows"] == 1), one)
    report(
        "serving",
        charkh=one["charkh"],
        peer=one["mlserver"],
        limit=one["limit"],
        aim="1 row 9x and 80x MLServer, 0.6 of the echo; 100 rows 2.5x, 12x (JSON), 10x, 15x (binary), 0.7 of the bare "
        "server; p99 at most 3 times p50 at 64 connections",
        holds=all(kept),
        unit="requests a second, logistic regression, one row, 16 connections",
        more_is_better=True,
        costs_us=costs,
        table=table,
        mlserver=version,
    )


if __name__ == "__main__":
    main()
