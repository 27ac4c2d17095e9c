"""The command `charkh`: nouns and verbs, each noun in a file of its own that is imported only when it is asked for.

A noun's file `cli/NOUN.py` defines `app = typer.Typer(no_args_is_help=True, help=…)` and one function a
verb; the function opens the workspace, calls the room's verb and prints:

    @app.command("list")
    def list_versions(prefix: str = "", json: AsJson = False) -> None:
        \"\"\"List the datasets.\"\"\"
        with open_workspace() as workspace:
            found = workspace.store.queries.ask(Datasets(prefix=prefix))
        if json:
            write_json(found)
        else:
            write_table(["name", …], [[…] for each in found])

An error is a `CharkhError`: what, where and what to do on stderr, no traceback, and an exit code.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import msgspec
import typer

from charkh.cli.exit_codes import INTERRUPTED, exit_code
from charkh.cli.groups import WholeSentences
from charkh.core.errors import CharkhError, Unavailable
from charkh.core.ids import new_id

NOUNS: dict[str, str] = {
    "dataset": "Named, versioned files and tables.",
    "source": "Where data is collected from, and what each fetch brought.",
    "recipe": "Ordered, replayable cleaning steps.",
    "check": "What a dataset must satisfy; failing rows go to quarantine.",
    "run": "Recorded executions: params, metrics, artifacts, provenance.",
    "project": "What runs belong to; names with / lie in folders.",
    "pipeline": "Steps with inputs and outputs, cached by content.",
    "study": "Searches over parameters; trials are runs.",
    "evaluation": "Scores with intervals, slices and comparison with a champion.",
    "model": "Registered, versioned models with aliases.",
    "card": "The document of a model or dataset.",
    "endpoint": "Served models and their prediction logs.",
    "monitor": "Watches over live data, predictions and late truth.",
    "loop": "Watch, retrain, judge, promote: with brakes.",
    "webhook": "Who outside is told what happens.",
    "hooks": "Hooks of Git and Mercurial: the lock is proved, data follows the code.",
    "lineage": "What was made from what.",
    "lock": "charkh.lock: the versions that this code works with.",
    "remote": "Other places to exchange facts and bytes with.",
    "import": "Bring in what another tool keeps.",
    "export": "Hand a version to another tool.",
    "dvc": "Stages of a DVC repository, run under charkh's step cache.",
    "user": "Users and service accounts: roles, tokens.",
    "audit": "Who did what, and proof that the journal was not changed.",
}
"""Every noun and its line of help; `cli/NOUN.py` has its verbs."""

TOP = "charkh.cli.workspace"
"""The verbs of the workspace itself stand at the top: init, up, serve, doctor, fsck, gc, sync, trace."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the package."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command_line(given)(given, prog_name="charkh")
    except CharkhError as error:
        sys.stderr.write(_described(error, as_json="--json" in given))
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, SystemExit) as ended:
        # Typer turns an interrupt in a command into an exit with this code, and says nothing.
        if isinstance(ended, SystemExit) and ended.code != INTERRUPTED:
            raise
        sys.stderr.write("interrupted; what was done is kept\n")
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is None:
            sys.stderr.write(_reported(error))
            sys.exit(1)
        refused = _refused(error)
        sys.stderr.write(_described(refused, as_json="--json" in given))
        sys.exit(exit_code(refused))
    except Exception as error:  # noqa: BLE001 - the edge of the process: a bug of ours, said as such
        sys.stderr.write(_reported(error))
        sys.exit(1)


def command_line(arguments: Sequence[str], *, whole: bool = False) -> typer.Typer:
    """The command line as far as these arguments need it: the other nouns are named but not imported.

    Args:
        arguments: what was typed.
        whole: import every noun, to write all of them down.
    """
    app = typer.Typer(
        name="charkh",
        cls=WholeSentences,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None if not sys.stdout.isatty() else "rich",
        help="charkh: one wheel for the whole machine-learning life cycle.",
    )
    importlib.import_module(TOP).install(app)
    wanted = set(NOUNS) if whole else {_noun_of(arguments)}
    for noun, line in NOUNS.items():
        room = importlib.import_module(f"charkh.cli.{noun}").app if noun in wanted else _named_only(line)
        app.add_typer(room, name=noun, help=line, cls=WholeSentences)
    return app


def _noun_of(arguments: Sequence[str]) -> str:
    """The first word that is no option; `-C FOLDER` and `--wait SECONDS` take the next one along."""
    words = iter(arguments)
    for word in words:
        if word in {"-C", "--workspace", "--wait"}:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _named_only(line: str) -> typer.Typer:
    empty = typer.Typer(help=line)
    empty.callback(invoke_without_command=True)(lambda: None)
    return empty


def _described(error: CharkhError, *, as_json: bool) -> str:
    if as_json:
        shape = {"code": error.code, "message": error.message, "hint": error.hint, "facts": error.facts}
        return msgspec.json.encode(shape, enc_hook=str).decode() + "\n"
    hint = f"  hint: {error.hint}\n" if error.hint else ""
    return f"error: {error.message}\n{hint}"


def _refused(error: OSError) -> Unavailable:
    """A file or folder that the user named and the system does not give."""
    return Unavailable(
        f"cannot use {error.filename}: {error.strerror}",
        code="file.unavailable",
        hint="Look at the path, its permissions and the free space, and run it again: what was done is kept.",
    )


def _reported(error: Exception) -> str:
    """A bug of ours: its short id, and the traceback on request."""
    identifier = new_id()[-8:]
    trace = "".join(traceback.format_exception(error)) if os.environ.get("CHARKH_TRACEBACK") else ""
    return (
        f"{trace}error: charkh failed in a way it should not: {type(error).__name__}: {error} [{identifier}]\n"
        "  hint: Run it again with CHARKH_TRACEBACK=1 and report what it prints.\n"
    )
