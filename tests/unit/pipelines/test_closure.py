"""What a function means: what is followed, what counts by version, and what changes nothing."""

import importlib
import sys
import types
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from charkh.core.errors import Invalid
from charkh.pipelines.closure import Closure, closure_of
from charkh.pipelines.digests import Digests
from charkh.pipelines.pipeline import pipeline
from charkh.pipelines.sources import is_own_code, library_version
from charkh.pipelines.step import step

Means = Callable[..., Closure]


@pytest.fixture
def means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Means]:
    """`means(main=…, other=…)`: the closure of `f` in the module `main`, loaded anew beside the others."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def closure(**modules: str) -> Closure:
        forget()
        for name, text in modules.items():
            path = tmp_path / f"own_{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return closure_of([importlib.import_module("own_main").f], Digests().digest)

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith("own_")]:
            del sys.modules[name]

    yield closure
    forget()


MAIN = """
import json
import polars as pl
import own_other
from own_other import helper as help_me, Thing

def f(x, flag=True):
    def inner(y):
        return help_me(y)
    thing = Thing(x)
    return inner(x), own_other.constant, json.dumps(thing.value), pl.DataFrame()
"""
OTHER = """
import re
constant = 3
LIMITS = {"low": 1}
PATTERN = re.compile("a+")
UNUSED = 4

def helper(y):
    return LIMITS["low"] + deeper(y)

def deeper(y):
    return PATTERN.match(y)

def unused(y):
    return UNUSED

class Base:
    scale = 2

class Thing(Base):
    def __init__(self, value):
        self.value = value * third()

def third():
    return 3
"""


def test_everything_that_is_referred_to_is_followed(means: Means) -> None:
    closure = means(main=MAIN, other=OTHER)
    assert sorted(closure.code) == [
        "own_main:f",
        "own_other.LIMITS",
        "own_other.PATTERN",
        "own_other.constant",
        "own_other:Base",
        "own_other:Thing",
        "own_other:deeper",
        "own_other:helper",
        "own_other:third",
    ]
    assert closure.libraries == {"polars": library_version("polars")[1]}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("return 3", "return 4", {"own_other:third"}),
        ("scale = 2", "scale = 3", {"own_other:Base"}),
        ('"a+"', '"b+"', {"own_other.PATTERN"}),
        ('{"low": 1}', '{"low": 2}', {"own_other.LIMITS"}),
        ('{"low": 1}', 'dict(low=int("1"))', set()),
        ("constant = 3", "constant = 3.0", {"own_other.constant"}),
        ("UNUSED = 4", "UNUSED = 5", set()),
        ("    return UNUSED", "    return 1", set()),
        ("def helper(y):", "def helper(y, z=1):", {"own_other:helper"}),
        ("def deeper(y):", 'def deeper(y):\n    "Says a lot."', set()),
    ],
)
def test_what_changes_and_what_does_not(means: Means, old: str, new: str, changed: set[str]) -> None:
    before = means(main=MAIN, other=OTHER).code
    assert old in OTHER
    after = means(main=MAIN, other=OTHER.replace(old, new)).code
    assert before.keys() == after.keys()
    assert {name for name in after if before[name] != after[name]} == changed


CALLS = "\ndef f():\n    return g()\n"
WAYS = [
    ("def f():\n    from own_other import third\n    return third()", "own_other:third"),
    ("def f():\n    import own_other as o\n    return o.third()", "own_other:third"),
    ("def f():\n    import own_other\n    return own_other.third()", "own_other:third"),
    ("from own_other import third\nf = lambda: third()", "own_other:third"),
    ("import own_other\ndef f():\n    return vars(own_other)", "own_other"),
    ("import functools, own_other\ng = functools.partial(own_other.third)" + CALLS, "own_other:third"),
    ("import functools, own_other\ng = functools.cache(own_other.third)" + CALLS, "own_other:third"),
    (
        "import own_other\ndef make(g):\n    def f(): return g()\n    return f\nf = make(own_other.third)",
        "own_other:third",
    ),
    ("import own_other\ndef f(x=own_other.third()):\n    return x", "own_other:third"),
    ("from own_other import Thing\ng = Thing(1).__init__" + CALLS, "own_other:Thing"),
    ("from own_other import Thing\nT = Thing(1)\ndef f():\n    return T.value", "own_other:Thing"),
    ("from own_other import constant as c\ndef f():\n    return [c for x in ()]", "own_other.constant"),
    ("from charkh.pipelines.step import step\nimport own_other\ng = step(own_other.third)" + CALLS, "own_other:third"),
]


@pytest.mark.parametrize(("main", "followed"), WAYS)
def test_ways_to_refer(means: Means, main: str, followed: str) -> None:
    assert followed in means(main=main, other=OTHER).code


def test_packages_and_relative_imports(means: Means, tmp_path: Path) -> None:
    (tmp_path / "own_pack").mkdir()
    (tmp_path / "own_pack/__init__.py").write_text("")
    (tmp_path / "own_pack/inner.py").write_text("def g():\n    from .deep import h\n    return h()\n")
    (tmp_path / "own_pack/deep.py").write_text("def h():\n    return 1\n")
    (tmp_path / "own_space").mkdir()
    (tmp_path / "own_space/part.py").write_text("def k():\n    return 1\n")
    main = "import own_pack.inner\nimport own_space.part\ndef f():\n    return own_pack.inner.g(), own_space.part.k()"
    assert set(means(main=main).code) == {"own_main:f", "own_pack.inner:g", "own_pack.deep:h", "own_space.part:k"}


def test_annotations_and_our_decorators_are_not_followed(means: Means) -> None:
    plain = "from own_other import Thing\n\n\ndef f(x: Thing) -> Thing:\n    y: Thing = x\n    return y\n"
    assert set(means(main=plain, other=OTHER).code) == {"own_main:f"}
    decorated = plain.replace("\n\n\ndef", "\nfrom charkh.pipelines.step import step\n@step(retries=1)\ndef")
    assert means(main=decorated, other=OTHER).code == means(main=plain, other=OTHER).code
    versioned = decorated.replace("retries=1", "version='2'")
    assert means(main=versioned, other=OTHER).code["own_main:f (version)"] == "2"


def test_decorators_of_ones_own_are_code(means: Means) -> None:
    main = (
        "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def inner():\n        return g() * 2\n"
        "    return inner\n@twice\ndef f():\n    return 1\n"
    )
    before, after = means(main=main).code, means(main=main.replace("* 2", "* 3")).code
    assert before != after
    assert before != means(main=main.replace("return 1", "return 5")).code


def test_libraries_count_by_version(means: Means) -> None:
    main = (
        "import numpy.linalg as la\nfrom polars import col\nimport dateutil.parser\nimport os\nimport charkh.core.ids\n"
        "def f():\n    import pandas as pd\n    return la.norm, col, dateutil.parser.parse, os.getpid(), "
        "charkh.core.ids.new_id, pd, len\n"
    )
    libraries = means(main=main).libraries
    assert set(libraries) == {"numpy", "polars", "python-dateutil", "charkh", "pandas"}
    assert all(libraries.values())
    assert library_version("sklearn")[0] == "scikit-learn"


def test_a_missing_library_of_a_branch_does_not_matter(means: Means) -> None:
    main = (
        "def f():\n    try:\n        import no_such_library as x\n    except ImportError:\n        x = 0\n    return x"
    )
    assert means(main=main).code.keys() == {"own_main:f"}


def test_functions_of_a_console_count_by_bytecode() -> None:
    def made(text: str) -> dict[str, str]:
        module = types.ModuleType("own_console")
        sys.modules["own_console"] = module
        try:
            exec(text, module.__dict__)
            return closure_of([module.__dict__["f"]], Digests().digest).code
        finally:
            del sys.modules["own_console"]

    text = "def g():\n    return 1\ndef f(x=2):\n    return g() + x\n"
    assert made(text) == made(f"\n\n{text}")
    for old, new in (("return 1", "return 3"), ("x=2", "x=3"), ("+ x", "- x"), ("g() +", "int(g()) +")):
        assert made(text) != made(text.replace(old, new))


def test_recursion_ends(means: Means) -> None:
    main = "def f():\n    return g()\ndef g():\n    return f()\nX = []\nX.append(X)\ndef h():\n    return X\n"
    assert set(means(main=main).code) == {"own_main:f", "own_main:g"}
    assert set(means(main=main.replace("return g()", "return g(), h()")).code) >= {"own_main:h", "own_main.X"}


def test_which_code_is_own() -> None:
    for name, own in [("json", False), ("polars", False), ("charkh.core.ids", False), ("builtins", False)]:
        importlib.import_module(name)
        assert is_own_code(name) is own


def test_what_cannot_be_a_step_or_a_pipeline() -> None:
    async def later() -> None: ...

    def many() -> Any:
        yield 1

    for function in (later, many):
        with pytest.raises(Invalid, match="cannot be a step"):
            step(function)
    with pytest.raises(Invalid, match="Params"):
        pipeline(name="two")(lambda x, y: None)
    with pytest.raises(Invalid):
        _ = pipeline(name="untyped")(lambda x: None).params
