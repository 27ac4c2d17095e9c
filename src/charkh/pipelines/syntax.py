"""The meaning of a piece of Python source as bytes: equal for equal programs, whatever they look like.

Comments, formatting, docstrings and positions are not in it; everything that can change what the
program does is. `ast.dump` will not do: its output differs between Python 3.11, 3.12 and 3.13, so that
an upgrade would silently empty every cache. The form is described in docs/formats/step-cache.md.
"""

import ast
from collections.abc import Sequence
from typing import Any, cast

from charkh.core.canon import Json, canonical_json
from charkh.core.digests import digest_of

SERIALIZER = "charkh-ast-1"
"""Name of the form; a change of it changes every key, and is therefore part of each."""

_SILENT_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def syntax_digest(node: ast.AST) -> str:
    """The digest of what `node` means."""
    return digest_of(canonical_json(syntax_form(node)))


def syntax_form(node: ast.AST) -> Json:
    """`node` as `[class, field, value, …]`, without what does not change its meaning.

    Empty fields are left out, so that a field that a later Python adds changes nothing until it is used.
    """
    form: list[Json] = [type(node).__name__]
    for name in node._fields:
        value = getattr(node, name, None)
        if name in _SILENT_FIELDS or value is None or value == []:
            if isinstance(node, ast.Constant) and name == "value":
                form += [name, _constant_form(value)]
            continue
        form += [name, _field_form(node, name, value)]
    return form


def _field_form(node: ast.AST, name: str, value: Any) -> Json:
    if isinstance(node, ast.Constant):
        return _constant_form(value)
    if name == "body" and isinstance(node, _DOCUMENTED):
        return [syntax_form(each) for each in _without_docstring(node)]
    if name == "values" and isinstance(node, ast.JoinedStr):
        return [syntax_form(each) for each in _merged_text(node.values)]
    if isinstance(value, ast.AST):
        return syntax_form(value)
    if isinstance(value, list):
        return [_item_form(each) for each in cast(list[Any], value)]
    return cast(Json, value)


def _item_form(item: Any) -> Json:
    return syntax_form(item) if isinstance(item, ast.AST) else item


def _constant_form(value: object) -> Json:
    # JSON cannot tell 1 from True from 1.0, nor bytes from text: each value stands with its type.
    # `ascii`, because which characters `repr` escapes depends on the Unicode tables of the Python.
    return [type(value).__name__, hex(value) if type(value) is int else ascii(value)]


def _without_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    body = node.body
    if body and isinstance(body[0], ast.Expr) and _text_of(body[0].value) is not None:
        body = body[1:]
    # What is left of a function that had nothing but a docstring does what `pass` does.
    return body or ([] if isinstance(node, ast.Module) else [ast.Pass()])


def _merged_text(values: Sequence[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string; where the text between two fields is split differs between Pythons."""
    merged: list[ast.expr] = []
    for value in values:
        text = _text_of(value)
        if text is None:
            merged.append(value)
            continue
        before = _text_of(merged[-1]) if merged else None
        if before is not None:
            merged[-1] = ast.Constant(before + text)
        elif text:
            merged.append(ast.Constant(text))
    return merged


def _text_of(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
