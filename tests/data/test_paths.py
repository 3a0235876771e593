"""What a person may point at, and the sets, names and order that come of it."""

import os
from pathlib import Path

import pytest

from jaxloc.data import find_sets, read_image, read_size
from jaxloc.errors import ImageError, UsageError
from tests.data.encoded import image, names_of, plant, write_tar


def test_a_folder_is_searched_recursively_and_named_after_itself(tmp_path):
    plant(tmp_path / "dogs", "b.jpg", "a.png", "deep/er/c.webp")
    sets = find_sets([tmp_path / "dogs"])
    assert names_of(sets) == {"dogs": ["a.png", "b.jpg", "deep/er/c.webp"]}
    assert all(source.path == tmp_path / "dogs" / source.name for source in sets[0].sources)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    plant(tmp_path / "dogs", ".a.jpg", "._b.jpg", ".thumbs/c.jpg", "sub/.git/d.jpg", "e.jpg")
    assert names_of(find_sets([tmp_path / "dogs"])) == {"dogs": ["e.jpg"]}


def test_a_hidden_folder_that_is_pointed_at_is_searched(tmp_path):
    plant(tmp_path / ".dogs", "a.jpg")
    assert names_of(find_sets([tmp_path / ".dogs"])) == {".dogs": ["a.jpg"]}


def test_images_are_told_by_extension_in_any_case_or_by_having_none(tmp_path):
    taken = ["a.JPG", "b.jpeg", "c.PnG", "d.gif", "e.tif", "f.TIFF", "g.webp", "h.bmp", "i"]
    plant(tmp_path / "dogs", *taken, "notes.md", "labels.csv", "a.json", "model.safetensors", "page.html", "list.txt")
    assert names_of(find_sets([tmp_path / "dogs"])) == {"dogs": taken}


def test_a_file_given_by_name_is_taken_whatever_its_extension(tmp_path):
    plant(tmp_path / "dogs", "a.dat", "b.jpg")
    assert names_of(find_sets([tmp_path / "dogs" / "a.dat"])) == {"dogs": ["a.dat"]}


def test_a_relative_folder_gives_the_names_of_the_absolute_one(tmp_path, monkeypatch):
    plant(tmp_path / "dogs", "a.jpg", "sub/b.jpg")
    monkeypatch.chdir(tmp_path / "dogs")
    [here], [there] = find_sets(["."]), find_sets([tmp_path / "dogs"])
    assert (here.name, list(here.sources)) == (there.name, list(there.sources))


@pytest.mark.parametrize("suffix", [".txt", ".lst", ".list", ".TXT"])
def test_a_list_names_images_relative_to_its_own_folder(tmp_path, monkeypatch, suffix):
    plant(tmp_path / "dogs", "a.jpg", "sub/b.jpg", "sub/c.jpg")
    path = tmp_path / "dogs" / f"some{suffix}"
    path.write_text("sub/c.jpg\na.jpg\n")
    monkeypatch.chdir("/")
    sets = find_sets([path])
    assert names_of(sets) == {"dogs": ["a.jpg", "sub/c.jpg"]}
    assert [source.path for source in sets[0].sources] == [tmp_path / "dogs/a.jpg", tmp_path / "dogs/sub/c.jpg"]


def test_a_list_may_hold_comments_blank_lines_a_byte_order_mark_and_windows_line_ends(tmp_path):
    plant(tmp_path / "dogs", "ä b.jpg", "c#.jpg")
    (tmp_path / "dogs" / "list.txt").write_bytes(
        "\ufeff# the good ones\r\n\r\n  ä b.jpg  \r\n   # not this.jpg\r\nc#.jpg".encode()
    )
    assert names_of(find_sets([tmp_path / "dogs" / "list.txt"])) == {"dogs": ["c#.jpg", "ä b.jpg"]}


def test_a_list_may_hold_absolute_paths(tmp_path):
    plant(tmp_path / "dogs", "a.jpg")
    (tmp_path / "dogs" / "list.txt").write_text(f"{tmp_path / 'dogs' / 'a.jpg'}\n")
    assert names_of(find_sets([tmp_path / "dogs" / "list.txt"])) == {"dogs": ["a.jpg"]}


def test_a_missing_entry_of_a_list_stays_in_the_set_so_that_it_is_reported(tmp_path):
    plant(tmp_path / "dogs", "a.jpg")
    (tmp_path / "dogs" / "list.txt").write_text("a.jpg\ngone.jpg\n")
    assert names_of(find_sets([tmp_path / "dogs" / "list.txt"])) == {"dogs": ["a.jpg", "gone.jpg"]}


def test_names_from_a_list_that_lies_elsewhere_do_not_lead_out_of_the_results(tmp_path):
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg", "lists/of/mine/list.txt")
    (tmp_path / "lists/of/mine/list.txt").write_text("../../../photos/a.jpg\n../../../photos/b.jpg\n")
    (names,) = names_of(find_sets([tmp_path / "lists/of/mine/list.txt"])).values()
    assert [Path(name).name for name in names] == ["a.jpg", "b.jpg"]
    assert not any(".." in Path(name).parts or Path(name).is_absolute() for name in names)


def test_several_roots_are_one_set_named_after_their_common_parent(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "cats/a.jpg", "birds/a.jpg")
    sets = find_sets([tmp_path / "pets" / "dogs", tmp_path / "pets" / "cats"])
    assert names_of(sets) == {"pets": ["cats/a.jpg", "dogs/a.jpg"]}


def test_a_folder_and_files_can_be_given_together(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "cats/a.jpg", "cats/b.jpg", "list.txt")
    (tmp_path / "pets" / "list.txt").write_text("cats/b.jpg\n")
    sets = find_sets([tmp_path / "pets/dogs", tmp_path / "pets/cats/a.jpg", tmp_path / "pets/list.txt"])
    assert names_of(sets) == {"pets": ["cats/a.jpg", "cats/b.jpg", "dogs/a.jpg"]}


@pytest.mark.parametrize("per_folder", [False, True])
def test_an_image_reached_twice_is_read_once(tmp_path, monkeypatch, per_folder):
    plant(tmp_path / "dogs", "a.jpg", "sub/b.jpg", "list.txt")
    (tmp_path / "dogs" / "list.txt").write_text("a.jpg\n./a.jpg\nsub/../a.jpg\nsub/b.jpg\n")
    monkeypatch.chdir(tmp_path)
    given = ["dogs", tmp_path / "dogs", "dogs/a.jpg", "dogs/../dogs/a.jpg", "dogs/list.txt"]
    paths = [source.path for images in find_sets(given, per_folder=per_folder) for source in images.sources]
    assert sorted(paths) == [tmp_path / "dogs/a.jpg", tmp_path / "dogs/sub/b.jpg"]


def test_the_category_can_be_named(tmp_path):
    plant(tmp_path / "dogs", "a.jpg")
    assert names_of(find_sets([tmp_path / "dogs"], name="hound")) == {"hound": ["a.jpg"]}


def test_per_folder_makes_a_set_of_each_subfolder_with_all_below_it(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "dogs/big/b.jpg", "cats/c.jpg", "cats/a/b/d.jpg")
    assert names_of(find_sets([tmp_path / "pets"], per_folder=True)) == {
        "cats": ["cats/a/b/d.jpg", "cats/c.jpg"],
        "dogs": ["dogs/a.jpg", "dogs/big/b.jpg"],
    }


def test_per_folder_puts_loose_images_in_a_set_named_after_the_folder_given(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "loose.jpg")
    assert names_of(find_sets([tmp_path / "pets"], per_folder=True)) == {"dogs": ["dogs/a.jpg"], "pets": ["loose.jpg"]}


def test_per_folder_keeps_subfolders_of_one_name_in_two_roots_apart(tmp_path):
    plant(tmp_path, "one/dogs/a.jpg", "two/dogs/a.jpg", "two/cats/b.jpg")
    assert names_of(find_sets([tmp_path / "one", tmp_path / "two"], per_folder=True)) == {
        "one/dogs": ["one/dogs/a.jpg"],
        "two/cats": ["two/cats/b.jpg"],
        "two/dogs": ["two/dogs/a.jpg"],
    }


def test_per_folder_refuses_to_mix_loose_images_with_those_of_a_subfolder_of_the_same_name(tmp_path):
    plant(tmp_path / "pets", "loose.jpg", "cats/a.jpg", "pets/b.jpg")
    message = (
        r"pets: its own images and those of its folder pets would be one set, pets: move its own ones into a folder "
        r"of another name, or give its folders alone \(.*/pets/\*/\)$"
    )
    with pytest.raises(UsageError, match=message):
        find_sets([tmp_path / "pets"], per_folder=True)
    expected = {"cats": ["cats/a.jpg"], "pets": ["pets/b.jpg"]}
    assert names_of(find_sets([f"{tmp_path}/pets/*/"], per_folder=True)) == expected
    (tmp_path / "pets/loose.jpg").unlink()
    assert names_of(find_sets([tmp_path / "pets"], per_folder=True)) == expected


def test_per_folder_takes_the_sets_of_a_list_from_its_folders(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "dogs/b.jpg", "cats/c.jpg", "list.txt")
    (tmp_path / "pets" / "list.txt").write_text("dogs/a.jpg\ncats/c.jpg\n")
    assert names_of(find_sets([tmp_path / "pets/list.txt"], per_folder=True)) == {
        "cats": ["cats/c.jpg"],
        "dogs": ["dogs/a.jpg"],
    }


def test_sets_and_images_come_in_order_of_name_however_they_are_given(tmp_path):
    entries = ["dogs/a.jpg", "cats/z.jpg", "dogs/B.jpg", "dogs/9.jpg", "dogs/10.jpg"]
    plant(tmp_path / "pets", *entries)
    (tmp_path / "pets/list.txt").write_text("\n".join(entries))
    for given in (["pets"], ["pets/list.txt"], [f"pets/{entry}" for entry in entries]):
        found = names_of(find_sets([tmp_path / path for path in given], per_folder=True))
        assert list(found.items()) == [
            ("cats", ["cats/z.jpg"]),
            ("dogs", ["dogs/10.jpg", "dogs/9.jpg", "dogs/B.jpg", "dogs/a.jpg"]),
        ]


def test_the_folder_of_results_is_not_searched(tmp_path, monkeypatch):
    plant(tmp_path / "dogs", "a.jpg", "out/overlays/a.jpg.png", "outer/b.jpg")
    expected = {"dogs": ["a.jpg", "outer/b.jpg"]}
    assert names_of(find_sets([tmp_path / "dogs"], exclude=[tmp_path / "dogs" / "out"])) == expected
    monkeypatch.chdir(tmp_path)
    assert names_of(find_sets(["dogs"], exclude=["dogs/out/"])) == expected


def test_a_folder_that_does_not_exist_yet_can_be_excluded(tmp_path):
    plant(tmp_path / "dogs", "a.jpg")
    assert names_of(find_sets([tmp_path / "dogs"], exclude=[tmp_path / "nowhere"])) == {"dogs": ["a.jpg"]}


def test_a_link_to_a_folder_of_images_can_be_pointed_at(tmp_path):
    plant(tmp_path / "real", "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert names_of(find_sets([tmp_path / "link"])) == {"link": ["a.jpg"]}


def test_a_loop_of_links_ends(tmp_path):
    plant(tmp_path / "dogs", "a.jpg", "sub/b.jpg")
    (tmp_path / "dogs/sub/loop").symlink_to(tmp_path / "dogs")
    assert names_of(find_sets([tmp_path / "dogs"])) == {"dogs": ["a.jpg", "sub/b.jpg"]}


def test_nothing_given_says_what_to_pass():
    with pytest.raises(UsageError, match="no image given: pass a folder, files, or a text file of paths"):
        find_sets([])


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: no such file or folder"):
        find_sets([tmp_path / "nowhere"])
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"broken: no such file or folder"):
        find_sets([tmp_path / "broken"])


@pytest.mark.parametrize("names", [[], ["notes.md", ".hidden.jpg"], ["empty.txt"]])
def test_a_folder_without_images_is_named(tmp_path, names):
    plant(tmp_path / "dogs", *names).mkdir(exist_ok=True)
    with pytest.raises(UsageError, match=r"no image found in .*dogs: pass a folder that holds photographs"):
        find_sets([tmp_path / "dogs"])


def test_an_empty_list_is_named(tmp_path):
    (tmp_path / "list.txt").write_text("# nothing yet\n\n")
    with pytest.raises(UsageError, match=r"no image found in .*list\.txt"):
        find_sets([tmp_path / "list.txt"])


@pytest.mark.parametrize("content", [b"caf\xe9.jpg\n", b"\xff\xd8\xff\xe0 an image, not a list"])
def test_a_list_that_is_no_text_is_named(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"list\.txt: not a readable list of paths, one a line"):
        find_sets([tmp_path / "list.txt"])


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path):
    plant(tmp_path / "dogs", "a.jpg", "shut/b.jpg")
    (tmp_path / "dogs/shut").chmod(0)
    try:
        with pytest.raises(UsageError, match=r"shut: cannot be listed \(Permission denied\)"):
            find_sets([tmp_path / "dogs"])
    finally:
        (tmp_path / "dogs/shut").chmod(0o700)


def test_links_to_folders_are_followed_once(tmp_path):
    plant(tmp_path / "elsewhere", "dog/a.jpg")
    plant(tmp_path / "classes", "cat/b.jpg")
    (tmp_path / "classes/dog").symlink_to(tmp_path / "elsewhere/dog")
    (tmp_path / "classes/same dog").symlink_to(tmp_path / "elsewhere/dog")
    sets = find_sets([tmp_path / "classes"], per_folder=True)
    assert names_of(sets) == {"cat": ["cat/b.jpg"], "dog": ["dog/a.jpg"]}


def test_a_folder_keeps_its_own_name_whatever_links_lead_to_it(tmp_path):
    classes = plant(tmp_path / "classes", "dog/a.jpg", "horse/b.jpg", "horse/deep/c.jpg")
    for link, target in (("a_link", "dog"), ("pony", "horse"), ("below", "horse/deep"), ("up", ".")):
        (classes / link).symlink_to(classes / target)
    (classes / "dog/friend").symlink_to(classes / "horse")
    expected = {"dog": ["dog/a.jpg"], "horse": ["horse/b.jpg", "horse/deep/c.jpg"]}
    assert names_of(find_sets([classes], per_folder=True)) == expected
    assert names_of(find_sets([classes])) == {"classes": expected["dog"] + expected["horse"]}


def test_a_link_to_a_folder_that_is_left_out_under_its_own_name_is_followed(tmp_path):
    classes = plant(tmp_path / "classes", ".store/1/a.jpg", "cat/b.jpg")
    (classes / "dog").symlink_to(classes / ".store/1")
    expected = {"cat": ["cat/b.jpg"], "dog": ["dog/a.jpg"]}
    assert names_of(find_sets([classes], per_folder=True)) == expected


def test_kinds_that_can_only_be_written_are_no_images(tmp_path):
    plant(tmp_path / "dogs", "a.jpg", "paper.pdf", "notes.txt", "labels.json")
    assert names_of(find_sets([tmp_path / "dogs"])) == {"dogs": ["a.jpg"]}


def test_a_pattern_stands_for_what_it_matches(tmp_path, monkeypatch):
    plant(tmp_path / "pets", "dogs/a.jpg", "dogs/big/b.jpg", "dogs/c.png", "cats/d.jpg", "dogs/notes.md")
    assert names_of(find_sets([tmp_path / "pets/**/*.jpg"])) == {"pets": ["cats/d.jpg", "dogs/a.jpg", "dogs/big/b.jpg"]}
    assert names_of(find_sets([tmp_path / "pets/dogs/*"])) == {"dogs": ["a.jpg", "big/b.jpg", "c.png"]}
    monkeypatch.chdir(tmp_path)
    assert names_of(find_sets(["pets/[cd]*/?.jpg"])) == {"pets": ["cats/d.jpg", "dogs/a.jpg"]}


def test_a_pattern_of_folders_makes_their_sets(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg", "dachshunds/b.jpg", "cats/c.jpg")
    assert names_of(find_sets([tmp_path / "pets/d*"], per_folder=True)) == {
        "dachshunds": ["dachshunds/b.jpg"],
        "dogs": ["dogs/a.jpg"],
    }


def test_a_pattern_that_names_an_extension_takes_it_whatever_it_is(tmp_path):
    plant(tmp_path / "dogs", "a.dat", "b.jpg")
    assert names_of(find_sets([tmp_path / "dogs/*.dat"])) == {"dogs": ["a.dat"]}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    plant(tmp_path / "dogs", "a[1].jpg", "a1.jpg")
    assert names_of(find_sets([tmp_path / "dogs/a[1].jpg"])) == {"dogs": ["a[1].jpg"]}
    plant(tmp_path / "my [dogs]", "a[1].jpg")
    assert names_of(find_sets([tmp_path / "my ?dogs?"])) == {"my [dogs]": ["a[1].jpg"]}


def test_a_pattern_matches_folders_whatever_their_names_and_no_other_files(tmp_path):
    plant(tmp_path / "pets", "dogs.v2/a.jpg", "b.jpg", "notes.md", "list.txt", ".hidden/c.jpg")
    assert names_of(find_sets([tmp_path / "pets/*"])) == {"pets": ["b.jpg", "dogs.v2/a.jpg"]}


def test_a_pattern_does_not_find_the_results_below_it(tmp_path, monkeypatch):
    plant(tmp_path / "pets", "a.jpg", "out/overlays/a.jpg", "out.jpg")
    for pattern in ("**/*.jpg", "*"):
        assert names_of(find_sets([tmp_path / "pets" / pattern], exclude=[tmp_path / "pets/out"])) == {
            "pets": ["a.jpg", "out.jpg"]
        }
    monkeypatch.chdir(tmp_path / "pets")
    assert names_of(find_sets(["*.jpg"], exclude=["../pets", "out"])) == {"pets": ["a.jpg", "out.jpg"]}


def test_a_pattern_without_match_is_named(tmp_path):
    plant(tmp_path / "dogs", "a.jpg", "notes.md")
    for pattern in ("*.jgp", "no*"):
        with pytest.raises(UsageError, match=r"dogs/.*\*.*: matches no image, folder or archive: check the pattern"):
            find_sets([tmp_path / "dogs" / pattern])


def test_results_of_an_earlier_job_are_left_out_of_a_search_but_not_if_asked_for(tmp_path):
    plant(tmp_path / "photos", "a.jpg", "result/overlays/a.jpg.png", "result/parts/_run.json")
    assert [source.name for source in find_sets([tmp_path / "photos"])[0].sources] == ["a.jpg"]
    with pytest.raises(UsageError, match="no image found in"):
        find_sets([tmp_path / "photos" / "result"])
    [asked] = find_sets([tmp_path / "photos" / "result" / "overlays"])
    assert [source.name for source in asked.sources] == ["a.jpg.png"]


@pytest.mark.parametrize("out", ["two", "two/horse", "two/horse/out", "elsewhere"])
def test_photographs_beside_results_stay_whether_these_are_an_earlier_jobs_or_this_ones(tmp_path, out):
    two = plant(tmp_path / "two", "horse/a.jpg", "horse/sub/b.jpg", "dog/c.jpg", "dog/overlays/d.jpg")
    expected = {"dog": ["dog/c.jpg", "dog/overlays/d.jpg"], "horse": ["horse/a.jpg", "horse/sub/b.jpg"]}
    assert names_of(find_sets([two], per_folder=True, exclude=[tmp_path / out])) == expected
    plant(tmp_path / out, "parts/_run.json", "overlays/horse/a.jpg.png", "video/v.mp4", "annotations.json")
    for exclude in ([], [tmp_path / out], [tmp_path / "another"]):
        assert names_of(find_sets([two], per_folder=True, exclude=exclude)) == expected
    alone = {"horse": ["a.jpg", "sub/b.jpg"]}
    assert names_of(find_sets([two / "horse"])) == alone
    assert names_of(find_sets([two / "horse/**/*.jpg"], exclude=[tmp_path / out])) == alone


def test_the_tables_of_a_gallery_are_no_archives_of_images(tmp_path):
    plant(tmp_path / "s", "gallery/gallery.json", "gallery/table/00000000-1f.parquet", "gallery/a.jpg")
    assert names_of(find_sets([tmp_path / "s"])) == {"s": ["gallery/a.jpg"]}


def test_the_folder_of_the_groups_of_a_pile_is_read_where_it_is_given(tmp_path):
    plant(tmp_path / "s", "a.jpg", "groups/b.jpg")
    plant(tmp_path / "s/found", "work/grouping.json", "groups/group-01/a.jpg")
    assert names_of(find_sets([tmp_path / "s"])) == {"s": ["a.jpg", "groups/b.jpg"]}
    assert names_of(find_sets([tmp_path / "s/found/groups"], per_folder=True)) == {"group-01": ["group-01/a.jpg"]}


def test_a_pattern_that_would_match_a_missing_shard_names_it(tmp_path):
    for number in (0, 1, 3):
        write_tar(tmp_path / f"s/x-0000{number}-of-00005.tar", {"a.png": image(number)})
    for pattern, missing in (("*.tar", 2), ("**/*", 2), ("x-*", 2), ("*[34]-of*", 4)):
        with pytest.raises(UsageError, match=rf"s/x-0000{missing}-of-00005\.tar: this shard is missing: fetch it, or"):
            find_sets([tmp_path / "s" / pattern])
    assert len(find_sets([tmp_path / "s/x-0000[013]-*"])[0].sources) == 3
    assert len(find_sets([tmp_path / f"s/x-0000{number}-of-00005.tar" for number in (1, 3)])[0].sources) == 2


def test_files_whose_names_are_not_utf8_are_skipped_one_by_one(tmp_path):
    folder = tmp_path / "dogs"
    folder.mkdir()
    try:
        for name in (b"a.jpg", b"\xff.jpg", b"caf\xe9"):
            (folder / os.fsdecode(name)).touch()
    except OSError:
        pytest.skip("this file system has names of text only")
    for given in (folder, folder / "*"):
        [images] = find_sets([given])
        assert [source.name for source in images.sources] == ["\\xff.jpg", "a.jpg", "caf\\xe9"]
        for number in (0, 2):
            with pytest.raises(ImageError, match=r"^its name is not UTF-8: rename it$"):
                read_image(images.sources[number].path)
            assert read_size(images.sources[number].path) is None
    assert str(images.sources[0].path) == f"{folder}/\\xff.jpg"


@pytest.mark.parametrize("name", [b"caf\xe9", b"caf\xe9.tar"])
def test_folders_and_archives_whose_names_are_not_utf8_are_refused(tmp_path, name):
    place = tmp_path / os.fsdecode(name)
    try:
        place.touch() if place.suffix else place.mkdir()
    except OSError:
        pytest.skip("this file system has names of text only")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UsageError, match=r"/caf\\xe9(\.tar)?: its name is not UTF-8: rename it$"):
        find_sets([place])
