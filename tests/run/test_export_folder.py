"""The folder of an export is replaced only if nobody has put or changed anything in it."""

import json
import os

import pytest

from jaxloc.errors import UsageError
from jaxloc.run.export_folder import check_replaceable, replacing, write_marker


@pytest.fixture
def out(tmp_path):
    """An export of two files, one in a folder."""
    folder = tmp_path / "out"
    write(folder, "one")
    return folder


def write(folder, text):
    with replacing(folder) as staging:
        (staging / "deep").mkdir()
        (staging / "deep" / "a.txt").write_text(text)
        (staging / "b.txt").write_text(text)
        write_marker(staging, {"made_by": "a test"})


def test_an_export_as_it_was_written_is_replaced(out):
    assert json.loads((out / "export.json").read_text()) == {
        "made_by": "a test",
        "files": {"b.txt": 3, "deep/a.txt": 3},
    }
    check_replaceable(out, overwrite=True)
    write(out, "other")
    assert (out / "b.txt").read_text() == "other"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_export_of_which_files_were_taken_away_is_replaced(out):
    (out / "b.txt").unlink()
    check_replaceable(out, overwrite=True)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_files_of_somebody_are_named(out, number):
    for place in range(number):
        (out / "deep" / f"mine-{place}.txt").touch()
    some = {
        1: "holds deep/mine-0.txt, which the export did not write and replacing it would delete: move it away",
        2: "holds deep/mine-0.txt, deep/mine-1.txt, which .*: move them away, or choose another folder with --out",
        5: "holds deep/mine-0.txt, deep/mine-1.txt, deep/mine-2.txt and 2 more, which",
    }
    with pytest.raises(UsageError, match=f"out: {some[number]}"):
        check_replaceable(out, overwrite=True)


def test_links_of_somebody_are_named_and_not_followed(out, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (out / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="out: holds linked, which the export did not write"):
        check_replaceable(out, overwrite=True)


def test_files_that_were_changed_are_named(out):
    (out / "b.txt").write_text("of another size")
    message = r"out: b\.txt was changed after the export, and replacing it would lose that: move it away, or choose"
    with pytest.raises(UsageError, match=message):
        check_replaceable(out, overwrite=True)


def test_files_of_a_later_date_are_changed_too(out):
    later = (out / "export.json").stat().st_mtime_ns + 1
    for name in ("b.txt", "deep/a.txt"):
        os.utime(out / name, ns=(later, later))
    with pytest.raises(UsageError, match=r"out: b\.txt, deep/a\.txt were changed after the export"):
        check_replaceable(out, overwrite=True)


def test_an_original_that_was_changed_beside_its_hard_link_is_not_lost(out, tmp_path):
    os.link(out / "b.txt", tmp_path / "original.txt")
    (tmp_path / "original.txt").write_text("changed")
    check_replaceable(out, overwrite=True)


def test_what_comes_while_the_next_export_is_made_stays(out):
    block = replacing(out)
    write_marker(block.__enter__(), {})
    (out / "late.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"out: holds late\.txt, which the export did not write"):
        block.__exit__(None, None, None)
    assert (out / "late.txt").read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 3}'])
def test_an_export_that_lists_no_files_is_left_alone(out, text):
    (out / "export.json").write_text(text)
    with pytest.raises(UsageError, match=r"out: its export\.json does not list the files .*: move it away, or choose"):
        check_replaceable(out, overwrite=True)


def test_a_folder_without_the_list_is_no_export(out):
    (out / "export.json").unlink()
    with pytest.raises(UsageError, match=r"out: holds something else than an export \(export\.json is not there\)"):
        check_replaceable(out, overwrite=True)


def test_without_being_asked_only_an_empty_folder_is_taken(out, tmp_path):
    with pytest.raises(UsageError, match="out: is not empty: choose another folder with --out, or pass --overwrite"):
        check_replaceable(out, overwrite=False)
    (tmp_path / "empty").mkdir()
    check_replaceable(tmp_path / "empty", overwrite=False)
    check_replaceable(tmp_path / "none", overwrite=False)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: is a file: choose another folder with --out"):
        check_replaceable(tmp_path / "file", overwrite=True)
