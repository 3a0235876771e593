"""Names of files: safe everywhere, each once, and kept where they are fine."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxloc.report.exports.names import safe_names, with_suffix


def same(names):
    return {name: name for name in names}


def test_fine_names_stay():
    names = ["a.jpg", "dogs/Ünïcode-写真.jpg", "b.tar.gz"]
    assert safe_names(same(names), flat=False) == same(names)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd.jpg", "etc/passwd.jpg"),
        ("/absolute/a.jpg", "absolute/a.jpg"),
        ('a<b>:"c|?*.jpg', "a_b___c___.jpg"),
        ("two words\n.jpg", "two_words_.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("con.jpg", "_con.jpg"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("..", "_"),
    ],
)
def test_odd_names_become_safe(name, safe):
    assert safe_names(same([name]), flat=False) == {name: safe}


def test_slashes_become_underscores_where_all_lie_together():
    assert safe_names(same(["a/b.jpg"]), flat=True) == {"a/b.jpg": "a_b.jpg"}


def test_names_that_would_meet_are_told_apart():
    names = ["a/b.jpg", "a_b.jpg", "A_B.JPG", "a_b.png"]
    chosen = list(safe_names(same(names), flat=True).values())
    assert chosen[0] == "a_b.jpg"
    assert len({with_suffix(file, "").casefold() for file in chosen}) == 4
    assert [file[-4:].lower() for file in chosen] == [".jpg", ".jpg", ".jpg", ".png"]


@given(st.lists(st.text(st.characters(), min_size=1, max_size=300), unique=True, max_size=20), st.booleans())
def test_any_names_become_different_files(names, flat):
    chosen = safe_names(same(names), flat=flat)
    assert list(chosen) == names
    assert len({with_suffix(file, "").casefold() for file in chosen.values()}) == len(names)
    for file in chosen.values():
        assert not file.startswith("/")
        file.encode()
        for part in file.split("/"):
            assert part not in ("", ".", "..")
            assert len(part) <= 130
            assert not set(part) & set('\\:*?"<>|' + "".join(map(chr, range(32))))
        assert not flat or "/" not in file
        assert string.whitespace[0] not in file
