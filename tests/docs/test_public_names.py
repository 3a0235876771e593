"""The check that every public name is documented."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def names(extension):
    return extension("public_names")


def environment(objects, modules):
    domain = SimpleNamespace(objects=dict.fromkeys(objects), modules=dict.fromkeys(modules))
    return SimpleNamespace(domains=SimpleNamespace(python_domain=domain))


def everything(names) -> tuple[set[str], set[str]]:
    modules = set(names.public_modules())
    return {f"{module}.{name}" for module in modules for name in names.public_names(module)}, modules


@pytest.fixture
def warnings(monkeypatch):
    """What the check warns of while a build runs."""
    logging = pytest.importorskip("sphinx.util.logging", reason="Sphinx comes with the extra jaxloc[docs]")
    said = []
    logger = SimpleNamespace(warning=lambda text, *values: said.append(text % values))
    monkeypatch.setattr(logging, "getLogger", lambda name: logger)
    return said


def test_public_are_modules_at_the_top_and_packages_that_offer_something(names):
    modules = names.public_modules()
    assert {"jaxloc.ddt", "jaxloc.ranking", "jaxloc.data.annotations", "weights_convert"} <= set(modules)
    assert not {"jaxloc.cli", "jaxloc.run.reid", "jaxloc.ranking.top_k", "jaxloc.run.localize_pass"} & set(modules)


def test_a_module_offers_what_it_lists_imports_of_itself_or_defines(names):
    import jaxloc.ranking

    assert names.public_names("jaxloc.ranking") == jaxloc.ranking.__all__
    assert names.public_names("jaxloc.run.discovery") == ["Discovered", "discover"]  # not the options it imports
    offered = names.public_names("jaxloc.spoc")
    assert offered == ["center_prior", "descriptor"]  # neither what it imports nor what begins with an underscore


def test_complete_pages_pass(names, warnings):
    objects, modules = everything(names)
    names.check_names(None, environment(objects, modules))
    assert warnings == []


def test_a_name_on_no_page_is_named(names, warnings):
    objects, modules = everything(names)
    names.check_names(None, environment(objects - {"jaxloc.ddt.fit"}, modules))
    assert warnings == ["jaxloc.ddt.fit is not documented in docs/api"]


def test_a_module_on_no_page_is_named_once(names, warnings):
    objects, modules = everything(names)
    names.check_names(None, environment(objects, modules - {"jaxloc.crow"}))
    assert warnings == ["jaxloc.crow is on no page: add it to docs/api"]


def test_a_name_offered_twice_needs_one_place(names, warnings):
    objects, modules = everything(names)
    names.check_names(None, environment(objects - {"jaxloc.run.evaluate_files"}, modules))
    assert warnings == []


def test_fields_of_named_tuples_are_left_to_the_text_of_their_class(names):
    from jaxloc.ddt import Model

    assert names.skip_fields(None, "class", "mean", Model.mean, False, None) is True
    assert names.skip_fields(None, "module", "Model", Model, False, None) is None
