"""Every command on a machine whose store is at a server: it works, or says what to do, and never how it broke."""

import json
import os
import subprocess
import sys
from pathlib import Path

from functional.test_server import Server
from workspaces import make_workspace

SERVING = ("init", "mcp", "serve", "up")
"""They make a store or serve one of their own."""

ONLY_THERE = {("audit", "log"), ("audit", "verify"), ("fsck",), ("gc",), ("user", "list"), ("webhook", "list")}

DRIVER = '''
"""Runs every command of the tree with the fewest words that it takes, each in a fork; prints what came of it."""
import importlib, json, os, signal, sys, tempfile, traceback

import typer

from charkh.cli.main import command_line, main

SECONDS = 60
WORDS = {"path": "there.csv", "file": "there.csv", "files": "there.csv", "folder": ".", "paths": "there.csv"}


def leaves(command, words):
    if hasattr(command, "commands"):
        for name, each in sorted(command.commands.items()):
            yield from leaves(each, [*words, name])
    else:
        yield words, command


def fewest(command):
    given = []
    for each in command.params:
        if not each.required:
            continue
        word = WORDS.get(each.name, "nothing")
        if hasattr(each.type, "choices"):
            word = str(each.type.choices[0])
        elif each.type.name in {"integer", "integer range"}:
            word = "1"
        elif each.type.name in {"float", "float range"}:
            word = "0.5"
        elif each.type.name in {"path", "file", "filename", "directory"}:
            word = "there.csv"
        given += [each.opts[0], word] if each.param_type_name == "option" else [word]
    return given


def outcome(words):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.chdir(tempfile.mkdtemp(dir=os.getcwd()))
            with open("there.csv", "w") as rows:
                rows.write("a,b\\n1,2\\n")
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(said.fileno(), 2)
            signal.alarm(SECONDS)
            code = 99
            try:
                main(words)
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else (0 if ended.code is None else 1)
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        told = said.read().decode(errors="replace")
    return {"words": words, "code": os.waitstatus_to_exitcode(status), "said": told}


# Once, and not in every fork.
for module in ("polars", "charkh.workspace.spool", "charkh.stores.http_connection"):
    importlib.import_module(module)
tree = typer.main.get_command(command_line([], whole=True))
for words, command in leaves(tree, []):
    if words[0] in set(sys.argv[1:]):
        continue
    print(json.dumps(outcome([*words, *fewest(command)])), flush=True)
'''


def test_no_command_breaks_where_the_store_is_at_a_server(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    there.mkdir()
    make_workspace(there).close()
    server = Server(there, "up", "--every", "0s")
    try:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, *SERVING],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=500,
            env={
                **os.environ,
                "CHARKH_URL": f"http://127.0.0.1:{server.port}",
                "CHARKH_TOKEN": server.token,
                "XDG_STATE_HOME": str(tmp_path / "state"),
            },
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) > 120
    for each in outcomes:
        words, code, said = each["words"], each["code"], each["said"]
        # A bug of ours would be 1, and a command that hangs a signal.
        assert code in {0, 2, 10, 11, 12, 13, 14, 15, 16, 17}, (words, code, said)
        assert "Traceback" not in said, (words, said)
        assert "there is no query" not in said, (words, said)
        assert "there is no command" not in said, (words, said)
    told = {tuple(each["words"]): each["said"] for each in outcomes}
    for words in ONLY_THERE:
        assert f"where the store is, at http://127.0.0.1:{server.port}" in told[words], told[words]
