"""The shape of the package: no import circles, nothing too long, and one name for one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "kidsnanny"
MODULE_LINES = 400
FUNCTION_LINES = 60
"""With decorators, options and docstring."""


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {path: path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {path: ast.parse(source) for path, source in SOURCES.items()}
MODULES = {dotted(path): path for path in TREES}


def type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs when the module is imported: not the bodies of functions, and not imports for type checkers."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        for part in ("body", "orelse", "finalbody") if not type_checking(node) else ("orelse",):
            yield from statements(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from statements(handler.body)


def imports(path: Path) -> set[str]:
    """The modules of the package that this one imports when it is imported, itself and packages above it excepted."""
    here = dotted(path)
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    found: set[str] = set()
    for node in statements(TREES[path].body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:  # a submodule, or a name in the module
                found.add(name if (name := f"{origin}.{alias.name}") in MODULES else origin)
    return {name for name in found & MODULES.keys() if name != here and not here.startswith(f"{name}.")}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A shortest circle through each module that is in one, each circle once."""
    found: dict[frozenset[str], list[str]] = {}
    for start in graph:
        paths, seen = [[start]], {start}
        for path in paths:  # breadth first; grows as it goes
            for following in sorted(graph[path[-1]]):
                if following == start:
                    found.setdefault(frozenset(path), [*path, start])
                elif following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
    return list(found.values())


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def public_classes(path: Path) -> Iterator[str]:
    return (node.name for node in TREES[path].body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def repeated(names: Iterator[tuple[str, str]]) -> list[str]:
    places = defaultdict(list)
    for name, place in names:
        places[name].append(place)
    return [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]


def none_of(offenders: Iterable[str]) -> None:
    """Fail with a line for each offender."""
    if lines := "\n".join(offenders):
        pytest.fail(lines, pytrace=False)


def test_the_search_for_circles_finds_them() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    none_of(" -> ".join(circle) for circle in circles({dotted(path): imports(path) for path in TREES}))


def test_no_module_is_long() -> None:
    lengths = {dotted(path): len(source.splitlines()) for path, source in SOURCES.items()}
    none_of(f"{name}: {lines} lines" for name, lines in lengths.items() if lines > MODULE_LINES)


def test_no_function_is_long() -> None:
    none_of(
        f"{dotted(path)}, line {node.lineno}: {node.name} has {lines} lines"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := length(node)) > FUNCTION_LINES
    )


def test_packages_have_no_logic() -> None:
    """An __init__.py holds a docstring, imports and constants."""
    plain = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
    none_of(
        f"{dotted(path)}, line {node.lineno}: {ast.unparse(node).splitlines()[0]}"
        for path, tree in TREES.items()
        if path.name == "__init__.py"
        for node in tree.body
        if not isinstance(node, plain)
        and not type_checking(node)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )


def test_no_two_modules_have_one_name() -> None:
    none_of(repeated((path.stem, dotted(path)) for path in TREES if path.name not in ("__init__.py", "__main__.py")))


def test_no_two_public_classes_have_one_name() -> None:
    none_of(repeated((name, dotted(path)) for path in TREES for name in public_classes(path)))
