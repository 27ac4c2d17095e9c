"""What a piece of syntax refers to: dotted names and the imports inside it."""

import ast
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from charkh.pipelines.pipeline import pipeline
from charkh.pipelines.sources import absolute_module
from charkh.pipelines.step import step


def without_our_decorators(node: ast.AST, variables: Mapping[str, Any]) -> ast.AST:
    """A function without `@step` and `@pipeline`: how often a step is tried changes nothing about what it gives."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.decorator_list:
        return node
    bare = copy.copy(node)
    bare.decorator_list = [each for each in node.decorator_list if not _is_ours(each, variables)]
    return bare


def _is_ours(decorator: ast.expr, variables: Mapping[str, Any]) -> bool:
    chain = _chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
    if not chain:
        return False
    thing = variables.get(chain[0])
    for name in chain[1:]:
        thing = getattr(thing, name, None)
    return thing is step or thing is pipeline


def chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """The dotted names that are read inside a node, annotations left out."""
    chain = _chain_of(node)
    if chain:
        yield chain
        return
    skipped: set[int] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
        skipped.add(id(node.returns))
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        skipped.add(id(node.annotation))
    for child in ast.iter_child_nodes(node):
        if id(child) not in skipped:
            yield from chains(child)


def _chain_of(node: ast.AST) -> tuple[str, ...]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return ()
    return (node.id, *reversed(names))


def imports_in(node: ast.AST, module: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """The imports inside a function or class of `module`: by name, the module and the attribute that it becomes."""
    if isinstance(node, ast.Module):
        return
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            for alias in each.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, (name, "")
        elif isinstance(each, ast.ImportFrom):
            home = absolute_module(module, each)
            for alias in each.names:
                yield alias.asname or alias.name, (home, alias.name)
