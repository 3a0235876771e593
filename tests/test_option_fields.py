"""An option is one field: its checks, its texts and its documentation derive from it."""

import dataclasses
import math
import subprocess
import sys

import pytest

from jaxloc import options
from jaxloc.errors import UsageError
from jaxloc.options import LocalizeOptions, Options
from jaxloc.options.option import option, options_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paint(Options):
    """How to paint."""

    colour: str = option("red", "Which colour.", choices={"red": 1, "blue": 2}, setting="colour")
    coats: int = option(1, "How many coats.", least=1, identity="coats")
    gloss: float = option(0.5, "Share of gloss.", least=0, below=1, setting="gloss", fitted=True)
    scale: float = option(1.0, "Scale.", above=0, label="the scale")
    names: tuple[str, ...] = option((), "Names.", setting="names", text=", ".join)
    dry: bool = option(False, "Dry it.", "--dry-it", identity="drying")
    size: int | None = option(None, "Size.", least=3)


def test_defaults_and_help_are_the_fields():
    assert Paint() == Paint(colour="red", coats=1, gloss=0.5, scale=1.0, names=(), dry=False, size=None)
    assert Paint.__doc__.startswith("How to paint.\n\nAttributes:\n    colour: Which colour.\n    coats: How many")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": "green"}, "colour must be one of red, blue, not 'green'"),
        ({"coats": 0}, "coats must be at least 1, not 0"),
        ({"gloss": 1.0}, "gloss must be from 0 to below 1, not 1.0"),
        ({"gloss": math.nan}, "gloss must be from 0 to below 1, not nan"),
        ({"scale": 0.0}, "the scale must be above 0, not 0.0"),
        ({"scale": math.inf}, "the scale must be above 0, not inf"),
        ({"size": 2}, "size must be at least 3, not 2"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_permitted(values, message):
    with pytest.raises(UsageError) as told:
        Paint(**values)
    assert str(told.value) == message


def test_settings_identity_and_fingerprint_hold_the_fields_that_say_so():
    paint = Paint(names=("a", "b"), gloss=0.25)
    assert paint.settings() == {"colour": "red", "gloss": "0.25", "names": "a, b"}
    assert paint.settings(fitted=False) == {"colour": "red", "names": "a, b"}
    assert Paint().settings() == {"colour": "red", "gloss": "0.5"}
    assert paint.identity() == {"coats (--coats)": "1", "drying (--dry-it)": "no"}
    assert paint.identity(coats="two")["coats (--coats)"] == "two"
    assert paint.fingerprint() == {"colour": "red", "gloss": 0.25, "names": ["a", "b"]}


def test_what_a_run_depends_on():
    found = LocalizeOptions(parts=2, refine="crf", box_from_mask=True, sign="aggregation", connectivity=8)
    assert found.settings() == {
        "shorter side at most": "800 pixels",
        "connectivity": "8",
        "computed in": "float32",
        "sign rule": "aggregation",
        "noise threshold": "0",
        "parts": "2",
        "pixels": "crf, and the box around them",
    }
    assert list(LocalizeOptions(max_side=0).settings(fitted=False).items()) == [
        ("shorter side at most", "unlimited"),
        ("computed in", "float32"),
    ]
    assert found.identity(batch="at most 8", engine="xla", shard_size=64) == {
        "batch size (--batch)": "at most 8",
        "convolution (--conv)": "auto",
        "engine (--engine)": "xla",
        "report limit (--report-limit)": "1000",
        "masks (--masks)": "no",
        "overlays (--overlays)": "no",
        "shard size (--shard-size)": "64",
        "memory for moments (--moments-memory)": "1 GB",
    }


@pytest.mark.parametrize("name", [name for name in dir(options) if name.endswith("Options")])
def test_every_field_is_an_option_with_help(name):
    cls = getattr(options, name)
    if cls is not Options:
        nested = {field.name for field in dataclasses.fields(cls) if dataclasses.is_dataclass(field.type)}
        assert options_of(cls).keys() | nested == {field.name for field in dataclasses.fields(cls)}
        assert all(one.help.endswith((".", "]")) for one in options_of(cls).values())


def test_options_import_neither_jax_nor_numpy():
    code = "import sys, jaxloc.options; print(sorted({'jax', 'numpy', 'PIL', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
