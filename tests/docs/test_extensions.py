"""Formulas and signatures as they come out on a page."""

from types import SimpleNamespace

import pytest

pytest.importorskip("latex2mathml", reason="the extra jaxloc[docs] is not installed")
nodes = pytest.importorskip("docutils.nodes")
pytest.importorskip("sphinx")


def written(render, node) -> str:
    translator = SimpleNamespace(body=[], starttag=lambda node, name, CLASS: f'<{name} class="{CLASS}">')
    with pytest.raises(nodes.SkipNode):
        render(translator, node)
    return "".join(translator.body)


def test_a_formula_becomes_mathml_that_needs_no_script(extension):
    text = written(extension("mathml").inline, nodes.math("", r"\xi_1^\top (x - \bar{x})"))
    assert text.startswith('<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">')
    assert "&#x003BE;" in text
    assert "script" not in text


def test_a_displayed_formula_may_scroll(extension):
    text = written(extension("mathml").displayed, nodes.math_block("", r"A = \sum_n S_n"))
    assert text.startswith('<div class="formula"><math')
    assert 'display="block"' in text


def test_array_like_is_not_spelled_out(extension):
    from jax.typing import ArrayLike
    from sphinx.util.typing import stringify_annotation

    signature = f"(features: {stringify_annotation(ArrayLike, 'smart')}, *, k: int)"
    shortened = extension("short_types").shorten(None, "function", "f", None, None, signature, None)
    assert shortened == ("(features: ArrayLike, *, k: int)", None)
