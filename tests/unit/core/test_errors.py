"""An error says what happened, by what code, and what to do."""

import pickle

from charkh.core.errors import Conflict, Invalid, Locked, NotFound


def test_an_error_shows_its_hint() -> None:
    error = NotFound(
        "no dataset 'flights'", code="dataset.not_found", hint="See: charkh dataset list.", facts={"name": "flights"}
    )
    assert str(error) == "no dataset 'flights'\n  hint: See: charkh dataset list."
    assert (error.message, error.code, error.facts) == (
        "no dataset 'flights'",
        "dataset.not_found",
        {"name": "flights"},
    )


def test_an_error_without_a_code_has_its_class_s_own() -> None:
    assert Conflict("taken").code == "conflict"
    assert str(Conflict("taken")) == "taken"


def test_an_error_is_caught_as_the_builtin_it_is() -> None:
    assert isinstance(NotFound("x"), LookupError)
    assert isinstance(Invalid("x"), ValueError)
    assert isinstance(Locked("x"), TimeoutError)


def test_an_error_crosses_a_process_border_whole() -> None:
    error = Invalid("bad", code="name.invalid", hint="Mend it.", facts={"at": 3})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code, copy.facts) == (Invalid, str(error), error.code, error.facts)
