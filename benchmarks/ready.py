"""From a start to the first answer, and the memory then: charkh and MLServer with the same two models.

The limit is a bare Granian server that loads the compiled models with onnxruntime and answers.

Promise: `charkh serve` answers at least 3 times sooner than MLServer, in less memory.

    python benchmarks/ready.py [--rounds 5]
"""

import argparse
import json
import sys
from pathlib import Path

from harness import median, peer_python, report, version_of, workplace
from served import (
    COLUMNS,
    MLSERVER,
    body,
    charkh_command,
    free_port,
    make_bare,
    make_charkh,
    make_mlserver,
    memory,
    running,
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    python = peer_python("mlserver", *MLSERVER)
    seconds: dict[str, list[float]] = {}
    megabytes: dict[str, list[float]] = {}
    with workplace() as folder:
        make_charkh(folder / "charkh")
        make_bare(folder / "bare")
        for workers in (0, 1) if python else ():
            make_mlserver(folder / f"mlserver{workers}", python, workers, free_port())
        for number in range(options.rounds):
            for name in ("bare", "charkh", *(("mlserver0", "mlserver1") if python else ())):
                took, held = once(name, folder / name, python)
                seconds.setdefault(name, []).append(took)
                megabytes.setdefault(name, []).append(held)
            print(
                f"round {number + 1}: { ({name: round(each[-1], 2) for name, each in seconds.items()}) }",
                file=sys.stderr,
            )
    ready = {name: median(values) for name, values in seconds.items()}
    holds = {name: median(values) for name, values in megabytes.items()}
    peers = [name for name in ready if name.startswith("mlserver")]
    peer = min(peers, key=lambda name: ready[name], default="")
    report(
        "ready",
        charkh=round(ready["charkh"], 3),
        peer=round(ready[peer], 3) if peer else None,
        limit=round(ready["bare"], 3),
        aim="3 times sooner than MLServer, in less memory",
        holds=bool(peer)
        and ready[peer] >= 3 * ready["charkh"]
        and holds["charkh"] < min(holds[each] for each in peers),
        unit="s until the first answer",
        mebibytes={name: round(value) for name, value in holds.items()},
        peer_workers=peer[-1:],
        mlserver=version_of(python, "mlserver"),
    )


def once(name: str, home: Path, python: Path | None) -> tuple[float, float]:
    """Seconds until the first answer, and MiB when both models have answered."""
    port = free_port()
    if name == "charkh":
        command = charkh_command(port)
    elif name == "bare":
        command = [sys.executable, "bare.py", port]
    else:
        settings = json.loads((home / "settings.json").read_text())
        (home / "settings.json").write_text(json.dumps({**settings, "http_port": port}))
        command = [python.parent / "mlserver", "start", "."]
    request = body([[0.5] * COLUMNS])
    url = f"http://127.0.0.1:{port}/v2/models/rf/infer"
    with running(command, url, home, request) as (pid, took):
        return took, memory(pid)


if __name__ == "__main__":
    main()
