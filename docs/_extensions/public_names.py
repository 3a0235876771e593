"""Every public name has its place in the reference, or the build says which has not."""

import ast
import functools
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import jaxloc

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

WITHOUT_PAGE = {"jaxloc.cli"}
"""Described by the command reference instead."""


@functools.cache
def public_modules() -> list[str]:
    """The modules directly in ``jaxloc``, packages further in that offer something, and ``weights_convert``."""
    names = [f"jaxloc.{info.name}" for info in pkgutil.iter_modules(jaxloc.__path__) if not info.name.startswith("_")]
    for info in pkgutil.walk_packages(jaxloc.__path__, "jaxloc."):
        if info.ispkg and info.name not in names and public_names(info.name):
            names.append(info.name)
    return sorted({*names, "weights_convert"} - WITHOUT_PAGE)


def public_names(module: str) -> list[str]:
    """What a module offers: its ``__all__``, what a package imports of its own, or what is defined there."""
    found = importlib.import_module(module)
    if hasattr(found, "__all__"):
        return list(found.__all__)
    if hasattr(found, "__path__"):
        own = [node for node in ast.parse(inspect.getsource(found)).body if isinstance(node, ast.ImportFrom)]
        return [name.name for node in own if (node.module or "").startswith(f"{module}.") for name in node.names]
    return [
        name
        for name, value in vars(found).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module
    ]


def places(module: str, name: str) -> set[str]:
    """The full names under which the same thing is offered, in any public module."""
    value = getattr(importlib.import_module(module), name)
    everywhere = [one for one in public_modules() if getattr(importlib.import_module(one), name, None) is value]
    return {f"{one}.{name}" for one in everywhere}


def check_names(app: "Sphinx", env: "BuildEnvironment") -> None:
    """Warn, which fails a build with ``-W``, of each public name that is on no page."""
    from sphinx.util import logging

    known = env.domains.python_domain.objects
    for module in public_modules():
        if module not in env.domains.python_domain.modules:
            logging.getLogger(__name__).warning("%s is on no page: add it to docs/api", module)
            continue
        for name in public_names(module):
            if not places(module, name) & known.keys():
                logging.getLogger(__name__).warning("%s.%s is not documented in docs/api", module, name)


def skip_fields(app: "Sphinx", what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the class's own text describes."""
    return True if (inspect.getdoc(item) or "").startswith("Alias for field number") else None


def setup(app: "Sphinx") -> dict[str, bool]:
    """Hook into autodoc and the check of the whole."""
    for module in public_modules():
        importlib.import_module(module).__all__ = public_names(module)  # what automodule shows of a package
    app.connect("env-check-consistency", check_names)
    app.connect("autodoc-skip-member", skip_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
