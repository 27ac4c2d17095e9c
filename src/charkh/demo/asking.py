"""What a user asks and takes away when the year is over: the real commands, and what they answered."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from charkh.core.errors import Unavailable
from charkh.demo.client import InferenceClient
from charkh.demo.story import AskedLine, SeedLine
from charkh.ports.store import Store
from charkh.runs.groups import Group, group_runs, judge
from charkh.runs.query_parser import parse_fields
from charkh.runs.search import search

SEEDS_PROJECT = "flights/seeds"
METRIC = "max(metrics.auc)"
LEFT = "left"
"""Folder of what is taken away."""
MLFLOW = "/api/2.0/mlflow"
MAX_LINES = 14
LIMIT = 120.0

FOUNDING = """
select m.name || '@' || m.number as model, a.alias, a.since, c.chosen, t.last as auc, m.run
from models m
left join (select run, string_agg(name || '=' || value, ' ' order by name) as chosen from params group by run) c
  on c.run = m.run
left join metrics t on t.run = m.run and t.name = 'auc'
left join aliases a on a.name = m.name and a.number = m.number
order by m.number
"""
"""Which params gave which score, of which model, and which of them serves: in one question."""


def run_script(folder: Path, name: str, *arguments: str) -> str:
    """Run a script of the workspace as a user would; what it printed.

    Raises:
        Unavailable: it failed.
    """
    command = [sys.executable, name, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT * 2)
    if done.returncode:
        raise Unavailable(f"{name} failed: {done.stderr.strip()[-600:]}", code="demo.script")
    return done.stdout.strip()


def run_seeds(folder: Path, params: dict[str, float]) -> None:
    """Some seeds of the champion's params and of the first guess, as runs.

    Raises:
        Unavailable: the script failed.
    """
    run_script(folder, "seeds.py", str(params["rate"]), str(int(params["leaves"])))


def tell_the_desk(folder: Path, address: str) -> str:
    """Let a webhook tell an address of alerts; the secret that its letters are signed with.

    Raises:
        Unavailable: it cannot be added.
    """
    arguments = ["webhook", "add", "desk", address, "--on", "alert.raised", "--json"]
    command = [sys.executable, "-m", "charkh", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise Unavailable(f"the desk's webhook was not added: {done.stderr.strip()}", code="demo.script")
    return str(json.loads(done.stdout)["secret"])


def seed_lines(store: Store) -> tuple[tuple[SeedLine, ...], str]:
    """Mean and deviation of each choice of params over its seeds, and what may be said about the difference."""
    groups = group_runs(
        store, f"project = '{SEEDS_PROJECT}'", metrics=parse_fields(METRIC), by=parse_fields("tags.of", family="params")
    )
    lines = [line for group in groups if (line := _line(group)) is not None]
    words = judge(
        groups[1],
        groups[0],
        METRIC,
        greater_is_better=True,
        names=(_name(groups[1]), _name(groups[0])),
    ).words
    return tuple(lines), words


def best_run(store: Store) -> str:
    """Id of the run among the seeds with the best point of its curve."""
    return search(store, f"project = '{SEEDS_PROJECT}'", order=f"{METRIC} desc", limit=1)[0].started.run


def ask(folder: Path, best: str) -> tuple[AskedLine, ...]:
    """Ask what the year leaves to be asked, and take away what can be taken.

    Args:
        folder: the workspace.
        best: id of the run whose curve is exported.
    """
    (folder / LEFT).mkdir(exist_ok=True)
    return tuple(_asked(folder, why, command) for why, command in _commands(folder, best))


def ask_as_mlflow(client: InferenceClient) -> AskedLine:
    """The same runs as an MLflow client gets them: MLflow's own question, over its own protocol.

    Raises:
        Unavailable: the server does not answer.
    """
    found = client.call(f"{MLFLOW}/experiments/get-by-name?experiment_name={SEEDS_PROJECT.replace('/', '%2F')}")
    question = {
        "experiment_ids": [found["experiment"]["experiment_id"]],
        "filter": "metrics.auc > 0.6 and params.seed = '0'",
        "order_by": ["metrics.auc DESC"],
    }
    runs = client.call(f"{MLFLOW}/runs/search", question).get("runs", [])
    said = [
        "  ".join(
            [
                run["info"]["run_id"],
                run["info"]["run_name"],
                run["info"]["status"],
                *(f"{each['key']}={each['value']}" for each in run["data"]["params"]),
                *(f"{each['key']}={each['value']:.6g}" for each in run["data"]["metrics"]),
            ]
        )
        for run in runs
    ]
    return AskedLine(
        why="What an MLflow client is answered (MLFLOW_TRACKING_URI = the address of charkh up)",
        command=f"POST {MLFLOW}/runs/search {json.dumps(question)}",
        said="\n".join(said),
        answered=bool(runs),
    )


def ask_as_client(folder: Path, client: InferenceClient, body: Mapping[str, Any]) -> tuple[AskedLine, str]:
    """Whether the endpoint keeps to the Open Inference Protocol; beside it the suite's summary, if all is well.

    Args:
        folder: the workspace.
        client: of the server.
        body: a valid request: what the recipes make of an invented one is refused.
    """
    request = folder / LEFT / "request.json"
    request.write_text(json.dumps(body), encoding="utf-8")
    arguments = ["conformance", client.address, "--request", f"{LEFT}/{request.name}", "--failed"]
    line = _asked(folder, "Does the endpoint keep to the Open Inference Protocol?", arguments, token=client.token)
    return line, line.said.splitlines()[-1] if line.answered else ""


def _commands(folder: Path, best: str) -> Iterator[tuple[str, Sequence[str]]]:
    where = f"project = '{SEEDS_PROJECT}'"
    yield "Which params gave which score, of which model, and which one serves?", ["sql", " ".join(FOUNDING.split())]
    yield "Who decided what about the model, when and why?", ["model", "history", "delay"]
    yield "What came of the loop's newest decision?", ["loop", "page", "delay", "-o", f"{LEFT}/decision.html"]
    yield "Who tried what on live requests?", ["endpoint", "rollout", "list"]
    yield "Which alerts are not over, whose are they, and what is to be done?", ["monitor", "alerts", "--firing"]
    yield "Tell the desk's webhook of every alert", ["webhook", "deliver"]
    yield (
        "Which versions were certified, and until when? (All have run out: 2013 is long over.)",
        ["evaluation", "certificates", "delay"],
    )
    yield "Which version serves now, by whose decision?", ["model", "served", "delay"]
    yield "Are the champion's params better, or was it the seed?", ["run", "group", where, "--metric", METRIC]
    yield "The best of these runs, for TensorBoard", ["export", "tensorboard", best, "-o", f"{LEFT}/tensorboard"]
    yield "All of them, as MLflow keeps them", ["export", "mlflow", "--project", SEEDS_PROJECT, "-o", f"{LEFT}/mlruns"]
    if _keys(folder):
        yield "Sign the champion (OpenSSF Model Signing)", ["model", "sign", "delay@champion", "--key", "signing.pem"]
        yield "Is it the model that was signed?", ["model", "verify", "delay@champion", "--public-key", "signing.pub"]
    model = ["export", "model", "delay@champion", "-o", f"{LEFT}/model", "--format", "files"]
    yield "The champion with its card and bill of materials", model
    annex = ["card", "annex-iv", "delay@champion", "-o", f"{LEFT}/annex-iv.html"]
    yield "Technical documentation in the order of Annex IV of the AI Act", annex


def _asked(folder: Path, why: str, arguments: Sequence[str], token: str = "") -> AskedLine:
    command = [sys.executable, "-m", "charkh", "-C", str(folder), *arguments]
    # Paths in the commands are those that a user would write in the workspace's folder.
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, "NO_COLOR": "1", "CHARKH_TOKEN": token},
    )
    said = (done.stdout if done.returncode == 0 and done.stdout.strip() else done.stderr).rstrip().splitlines()
    rest = len(said) - MAX_LINES
    shown = [line[:220] for line in said[:MAX_LINES]] + ([f"… {rest} lines more"] if rest > 0 else [])
    return AskedLine(
        why=why,
        command=" ".join(["charkh", *map(quoted, arguments)]),
        said="\n".join(shown).replace("\t", "  "),
        answered=done.returncode == 0,
    )


def quoted(argument: str) -> str:
    """An argument as one would type it: in double quotes where there are single ones in it."""
    return f'"{argument}"' if "'" in argument and not {'"', "$", "`", "\\"} & set(argument) else shlex.quote(argument)


def _keys(folder: Path) -> bool:
    """A fresh pair of keys, where the library for them is installed."""
    with contextlib.suppress(ImportError):
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        key = generate_private_key(SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with os.fdopen(os.open(folder / "signing.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        (folder / "signing.pub").write_bytes(public)
        return True
    return False


def _line(group: Group) -> SeedLine | None:
    found = group.statistic(METRIC)
    if found is None:
        return None
    return SeedLine(
        of=_name(group),
        runs=found.n,
        mean=found.mean,
        deviation=found.sd or 0.0,
        low=found.low if found.low is not None else found.mean,
        high=found.high if found.high is not None else found.mean,
    )


def _name(group: Group) -> str:
    return next(iter(group.config.values()), None) or "?"
