"""Building a gallery, adding to it, taking from it."""

import json
import os
import shutil
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxloc.errors import UsageError
from jaxloc.run.retrieval import index as index_module
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import default_options, index, remove
from jaxloc.run.retrieval.search import search
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


def test_the_same_images_give_the_same_bytes(made, weights, images, tmp_path):
    for options in ({}, {"whiten": "svd-5"}, {"descriptor": "vlad"}):
        out = tmp_path / json.dumps(options)
        index([images], out, small.index_options(weights, **options))
        assert helpers.every_file(out) == helpers.every_file(made(**options))


def test_batches_and_threads_do_not_change_what_is_found(made, weights, images, tmp_path):
    index([images], tmp_path / "g", small.index_options(weights, batch=4, workers=3))
    np.testing.assert_allclose(small.stored(tmp_path / "g"), small.stored(made()), atol=1e-6)
    assert small.names(tmp_path / "g") == small.names(made())


def test_what_is_there_is_neither_read_nor_written_again(gallery, weights, images, monkeypatch):
    before = helpers.every_file(gallery)
    times = {path: path.stat().st_mtime_ns for path in gallery.rglob("*") if path.is_file()}
    monkeypatch.setattr(index_module, "write_shards", None)
    done = index([images], gallery, small.index_options(weights))
    assert (done.added, done.present, done.total, done.not_found) == (0, 16, 16, 1)
    assert helpers.every_file(gallery) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_gallery_grows(gallery, weights, images, queries):
    before = helpers.every_file(gallery)
    done = index([queries], gallery, small.index_options(weights))
    assert (done.added, done.present, done.total) == (6, 0, 22)
    after = helpers.every_file(gallery)
    assert {name: after[name] for name in before} == before
    assert small.names(gallery)[16:] == [f"{kind}/{number}.png" for kind in small.KINDS for number in (7, 8)]
    done = index([images, queries], gallery, small.index_options(weights))
    assert (done.added, done.present, done.total) == (0, 22, 22)


def test_an_image_that_changed_is_described_again_and_not_kept_twice(weights, images, tmp_path):
    photos = shutil.copytree(images, tmp_path / "photos")
    index([photos], tmp_path / "g", small.index_options(weights, whiten="svd-5"))
    old = dict(zip(small.names(tmp_path / "g"), small.stored(tmp_path / "g"), strict=True))
    small.crop("coffee", 2).save(photos / "cat" / "1.png")
    done = index([photos], tmp_path / "g", small.index_options(weights, whiten="svd-5"))
    assert (done.added, done.present, done.total) == (1, 15, 16)
    new = dict(zip(small.names(tmp_path / "g"), small.stored(tmp_path / "g"), strict=True))
    assert sorted(new) == sorted(old)
    np.testing.assert_allclose(new.pop("cat/1.png"), old["coffee/2.png"], atol=1e-6)
    for name, vector in new.items():
        np.testing.assert_array_equal(vector, old[name])
    opened = Gallery.open(tmp_path / "g")
    assert len(list(opened.folder.glob("table/*"))) == len(list(opened.folder.glob("whitened/*"))) == len(opened.shards)


def test_images_are_removed_by_name_and_by_path(gallery, images):
    vectors, names = small.stored(gallery), small.names(gallery)
    gone = ["cat/0.png", str(images / "face" / "1.png"), "coffee/0.png", "coffee/1.png", "coffee/2.png"]
    assert remove(gallery, gone) == 5
    gone[1] = "face/1.png"
    keep = [name not in gone for name in names]
    assert small.names(gallery) == [name for name, kept in zip(names, keep, strict=True) if kept]
    np.testing.assert_array_equal(small.stored(gallery), vectors[keep])
    opened = Gallery.open(gallery)
    assert len(list(gallery.glob("table/*"))) == len(opened.shards)
    assert (images / "cat" / "0.png").exists()
    with pytest.raises(UsageError, match=r"gallery: holds no image cat/0\.png; its table has"):
        remove(gallery, ["cat/1.png", "cat/0.png"])
    assert "cat/1.png" in small.names(gallery)


def test_what_was_removed_comes_back_when_it_is_indexed_again(made, weights, images, tmp_path):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    remove(folder, ["cat/0.png", "face/4.png"])
    done = index([images], folder, small.index_options(weights, whiten="svd-5"))
    assert (done.added, done.total) == (2, 16)
    assert sorted(small.names(folder)) == sorted(small.names(made()))


def test_a_gallery_can_be_emptied_and_filled_again(made, weights, images, tmp_path):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    assert remove(folder, small.names(folder)) == 16
    done = index([images], folder, small.index_options(weights, whiten="svd-5"))
    assert (done.added, done.total) == (16, 16)
    np.testing.assert_array_equal(small.stored(folder), small.stored(made()))


def test_removing_works_where_the_whitening_could_not_be_fitted(weights, images, tmp_path):
    with pytest.raises(UsageError, match="svd-16: dimension 16 is above the rank 15"):
        index([images], tmp_path / "g", small.index_options(weights, whiten="svd-16"))
    assert remove(tmp_path / "g", ["cat/0.png"]) == 1
    assert len(small.names(tmp_path / "g")) == 15


def test_a_whitening_that_so_few_images_cannot_have_is_refused_before_the_work(weights, images, tmp_path):
    with pytest.raises(UsageError, match=r"svd-19 needs at least 19 images, and there are 16: .*--whiten svd-4"):
        index([images], tmp_path / "g", small.index_options(weights, whiten="svd-19"))
    assert not list((tmp_path / "g").glob("vectors/*"))
    index([images], tmp_path / "g", small.index_options(weights, whiten="svd-4"))


def test_a_journal_of_another_job_is_not_believed(made, weights, images, tmp_path):
    (tmp_path / "after").mkdir()
    options = small.index_options(weights)
    index([images / "cat"], tmp_path / "after", options)
    (tmp_path / "after" / "job.json").write_text('{"job": "another", "sizes": [[640, 64, 1]]}')
    index([images], tmp_path / "after", options)
    assert len(small.names(tmp_path / "after")) == len(small.names(made()))
    assert not (tmp_path / "after" / "job.json").exists()


def test_unreadable_images_are_told_once_and_stay_out(weights, images, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(images / "cat", photos / "cat")
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    options = small.index_options(weights)
    done = index([photos], tmp_path / "g", options)
    assert [(skip.name, skip.reason) for skip in done.skipped] == [
        ("cat/broken.jpg", "not an image, or of a kind that Pillow does not know")
    ]
    assert (done.added, done.total) == (5, 5)
    again = index([photos], tmp_path / "g", options)
    assert (again.added, again.skipped) == (0, done.skipped)
    small.crop("cat", 9).save(photos / "cat" / "broken.jpg")
    mended = index([photos], tmp_path / "g", options)
    assert (mended.added, mended.total, mended.skipped) == (1, 6, [])
    assert remove(tmp_path / "g", ["cat/broken.jpg"]) == 1


def test_a_shard_of_unreadable_images_only_is_a_shard(weights, images, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(images / "cat", photos / "cat")
    for number in range(4):
        (photos / "cat" / f"00{number}.png").write_bytes(b"no image")
    for whiten in ("svd-4", "none"):
        done = index([photos], tmp_path / "g", small.index_options(weights, whiten=whiten, shard_size=2))
        assert (len(done.skipped), done.total) == (4, 5)
        assert done.dimension == (4 if whiten != "none" else small.DIMENSION)


def test_an_image_that_vanishes_while_it_is_described_is_skipped(weights, images, tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    shutil.copytree(images / "cat", photos / "cat")
    describe = index_module.Describer.describe

    def vanishing(*arguments, **options):
        (photos / "cat" / "1.png").unlink(missing_ok=True)
        return describe(*arguments, **options)

    # The shard's three images are decoded before the first is described.
    monkeypatch.setattr(index_module.Describer, "describe", vanishing)
    done = index([photos], tmp_path / "g", small.index_options(weights, workers=4))
    assert [skip.name for skip in done.skipped] == ["cat/1.png"]
    assert done.total == 4
    assert "cat/1.png" not in small.names(tmp_path / "g")


def test_no_readable_image_at_all_is_an_error_that_shows_reasons(weights, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"no readable image among 5 \(0\.jpg: not an image.*2\.jpg: .* …\)"):
            index([tmp_path / "in"], tmp_path / "g", small.index_options(weights))


def test_the_gallery_may_lie_among_the_images(weights, images, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(images / "cat", photos / "cat")
    for _ in range(2):
        done = index([photos], photos / "gallery", small.index_options(weights))
    assert done.total == 5
    with pytest.raises(UsageError, match=r"photos: holds other files \(.*\): choose a new folder"):
        index([photos], photos, small.index_options(weights))


@pytest.mark.parametrize("folder", soaked(["gallery", "vectors", "table", "whitened"], ["gallery", "table"]))
def test_what_a_kill_left_is_cleaned_away(made, weights, images, tmp_path, folder):
    gallery = small.copy(made(whiten="svd-5"), tmp_path / "gallery")
    before = helpers.every_file(gallery)
    place = gallery if folder == "gallery" else gallery / folder
    (place / ".00000003.safetensors.0a1b2c3d.part").write_bytes(b"half")
    (gallery / "table" / "00000002-0123456789abcdef.parquet").write_bytes(b"of no shard")
    (gallery / "whitened" / "00000077.safetensors").write_bytes(b"of no shard")
    (gallery / "job.json").write_text('{"shapes": [[128, 128, 8]]}')
    index([images], gallery, small.index_options(weights, whiten="svd-5"))
    assert helpers.every_file(gallery) == before


DAMAGED = ["", "{", "[]", '{"shapes": 3}', '{"shapes": [[1, 2]]}', '{"shapes": [["a", 1, 2]]}']


@pytest.mark.parametrize("text", soaked(DAMAGED, ["{", DAMAGED[-1]]))
def test_a_journal_that_is_damaged_is_written_anew(made, weights, images, tmp_path, text):
    (tmp_path / "g").mkdir()
    gallery = small.copy(made(), tmp_path / "gallery")
    for number in range(3, 6):
        (gallery / "vectors" / f"{number:08d}.safetensors").unlink()
    (gallery / "job.json").write_text(text)
    index([images], gallery, small.index_options(weights))
    np.testing.assert_allclose(small.stored(gallery), small.stored(made()), atol=1e-6)
    assert set(helpers.every_file(gallery)) == set(helpers.every_file(made()))


def test_a_second_index_at_the_same_time_is_kept_out(gallery, weights, images, queries, monkeypatch):
    inside, go_on, failures = threading.Event(), threading.Event(), []
    write_shards = index_module.write_shards

    def waiting(*arguments):
        inside.set()
        go_on.wait(120)
        write_shards(*arguments)

    monkeypatch.setattr(index_module, "write_shards", waiting)

    def first():
        try:
            index([queries], gallery, small.index_options(weights))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert inside.wait(120)
        with pytest.raises(UsageError, match=r"gallery: another process is writing to this folder: wait until"):
            index([images], gallery, small.index_options(weights))
        with pytest.raises(UsageError, match=r"gallery: another process is writing to this folder: wait until"):
            remove(gallery, ["cat/0.png"])
    finally:
        go_on.set()
        thread.join()
    assert failures == []
    assert len(small.names(gallery)) == 22
    assert remove(gallery, ["cat/0.png"]) == 1


def test_a_gallery_made_by_another_process_while_the_weights_are_read_is_extended(
    made, weights, images, tmp_path, monkeypatch
):
    other, describer = made(), index_module.Describer

    def slow(*arguments):
        shutil.copytree(other, tmp_path / "g", dirs_exist_ok=True)
        return describer(*arguments)

    monkeypatch.setattr(index_module, "Describer", slow)
    done = index([images], tmp_path / "g", small.index_options(weights))
    assert (done.added, done.present) == (0, 16)


def test_without_options_a_gallery_is_extended_with_its_own(made, weights, images, queries, tmp_path, monkeypatch):
    gallery = small.copy(made(descriptor="vlad", whiten="svd-5"), tmp_path / "g")
    options = default_options(gallery)
    assert (options.descriptor, options.whiten, options.shard_size, options.lower_layer) == (
        "vlad",
        "svd-5",
        3,
        "relu5_2",
    )
    assert default_options(tmp_path / "new").descriptor == "scda"
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    shutil.copy(weights, tmp_path / "cache" / "vgg16.safetensors")
    whitening = (gallery / "whitening.safetensors").read_bytes()
    done = index([queries], gallery)
    assert (done.added, done.total, done.dimension) == (6, 22, 5)
    assert (gallery / "whitening.safetensors").read_bytes() == whitening


def test_another_whitening_replaces_the_old_and_none_drops_it(made, weights, images, tmp_path):
    gallery = small.copy(made(whiten="svd-5"), tmp_path / "gallery")
    done = index([images], gallery, small.index_options(weights, whiten="pca-4:0.5"))
    assert done.dimension == 4
    index([images], tmp_path / "fresh", small.index_options(weights, whiten="pca-4:0.5"))
    assert helpers.every_file(gallery) == helpers.every_file(tmp_path / "fresh")
    index([images], gallery, small.index_options(weights))
    assert helpers.every_file(gallery) == helpers.every_file(made())


def test_a_whitening_stays_until_it_is_refitted(made, weights, images, queries, tmp_path):
    gallery = small.copy(made(whiten="svd-5"), tmp_path / "gallery")
    before = (gallery / "whitening.safetensors").read_bytes()
    index([images, queries], gallery, small.index_options(weights, whiten="svd-5"))
    assert (gallery / "whitening.safetensors").read_bytes() == before
    assert len(list((gallery / "whitened").iterdir())) == len(Gallery.open(gallery).shards)
    index([images, queries], gallery, small.index_options(weights, whiten="svd-5", refit=True))
    assert (gallery / "whitening.safetensors").read_bytes() != before


def test_labels_named_later_reach_images_that_are_there(weights, images, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in images.rglob("[01].png"):
        shutil.copy(path, flat / f"{path.parent.name}_{path.name}")
    options = small.index_options(weights)
    index([flat], tmp_path / "g", options)
    vectors = small.stored(tmp_path / "g")
    assert set(small.labels(tmp_path / "g")) == {"flat"}
    names = sorted(path.name for path in flat.iterdir())
    categories = [{"id": number, "name": kind} for number, kind in enumerate(small.KINDS)]
    listed = [
        {"id": number, "file_name": f"flat/{name}", "category_id": list(small.KINDS).index(name.split("_")[0])}
        for number, name in enumerate(names)
    ]
    (tmp_path / "labels.json").write_text(json.dumps({"images": listed, "annotations": [], "categories": categories}))
    done = index([flat], tmp_path / "g", options, labels=tmp_path / "labels.json")
    assert (done.added, done.present) == (0, 6)
    assert list(small.labels(tmp_path / "g")) == [name.split("_")[0] for name in names]
    np.testing.assert_array_equal(small.stored(tmp_path / "g"), vectors)
    index([flat], tmp_path / "g", options)
    assert list(small.labels(tmp_path / "g")) == [name.split("_")[0] for name in names]


def test_images_beside_the_gallery_are_kept_relative_to_it_and_move_with_it(weights, images, tmp_path):
    shutil.copytree(images / "cat", tmp_path / "old" / "photos" / "cat")
    index([tmp_path / "old" / "photos"], tmp_path / "old" / "g", small.index_options(weights))
    kept = pq.read_table(tmp_path / "old" / "g" / "table")["path"].to_pylist()
    assert kept[0] == "../photos/cat/0.png"
    (tmp_path / "old").rename(tmp_path / "new")
    before = helpers.every_file(tmp_path / "new" / "g")
    done = index([tmp_path / "new" / "photos"], tmp_path / "new" / "g", small.index_options(weights))
    assert (done.added, done.present, done.moved) == (0, 5, 0)
    assert helpers.every_file(tmp_path / "new" / "g") == before
    paths = Gallery.open(tmp_path / "new" / "g").whole_table()["path"].to_pylist()
    assert paths == sorted(map(str, (tmp_path / "new" / "photos").rglob("*.png")))


@pytest.mark.parametrize("absolute", soaked([True, False], [True]))
def test_moved_images_are_known_by_their_content(weights, images, tmp_path, absolute):
    photos = shutil.copytree(images, tmp_path / "photos", ignore=shutil.ignore_patterns("[34].png"))
    (photos / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    gallery = tmp_path / "deep" / "g" if absolute else tmp_path / "g"
    index([photos], gallery, small.index_options(weights))
    vectors = small.stored(gallery)
    moved = photos.rename(tmp_path / "elsewhere")
    found = search(gallery, [moved / "cat" / "1.png"], small.reading(weights), images=True)
    assert any(f"`jaxloc index PHOTOS --out {gallery}` knows them again" in warning for warning in found.warnings)
    (moved / "cat" / "1.png").rename(moved / "face" / "9.png")
    small.crop("coffee", 8).save(moved / "coffee" / "0.png")
    done = index([moved], gallery, small.index_options(weights))
    assert (done.added, done.present, done.total, done.moved) == (1, 9, 11, 9)
    assert [skip.path for skip in done.skipped] == [str(moved / "cat" / "broken.png")]
    rows = Gallery.open(gallery).whole_table().to_pylist()
    assert (rows[1]["path"], rows[1]["name"], rows[1]["label"]) == (str(moved / "face/9.png"), "face/9.png", "face")
    np.testing.assert_array_equal(small.stored(gallery)[:10], vectors)


def test_labels_from_elsewhere_stay_where_images_are_moved(weights, images, tmp_path):
    photos = shutil.copytree(images / "cat", tmp_path / "photos" / "cat")
    listed = [{"id": 1, "file_name": "photos/cat/1.png", "category_id": 1}]
    truth = {"images": listed, "annotations": [], "categories": [{"id": 1, "name": "tiger"}]}
    (tmp_path / "labels.json").write_text(json.dumps(truth))
    index([photos / "1.png"], tmp_path / "g", small.index_options(weights), labels=tmp_path / "labels.json")
    photos.rename(tmp_path / "cats")
    index([tmp_path / "cats"], tmp_path / "g", small.index_options(weights))
    assert list(small.labels(tmp_path / "g")) == ["tiger", "cats", "cats", "cats", "cats"]


@pytest.mark.skipif(os.name == "nt", reason="no such names on this system")
def test_odd_names_and_labels_are_kept_and_those_that_are_not_utf8_skipped(weights, images, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(images / "cat", folder / "cat")
    odd = os.fsdecode(os.fsencode(folder) + b"/caf\xe9")
    try:
        os.mkdir(odd)
        shutil.copy(images / "cat" / "1.png", os.fsdecode(os.fsencode(odd) + b"/\xff.png"))
        (folder / "a\nb").mkdir()
        shutil.copy(images / "cat" / "1.png", folder / "a\nb" / "<script>alert(1)<%2Fscript>.png")
        (folder / "a\nb" / "x\ny.png").write_bytes(b"no image")
        with open(os.fsdecode(os.fsencode(odd) + b"/\xfe.png"), "wb") as file:
            file.write(b"no image")
    except OSError:
        pytest.skip("this file system only takes names that are text")
    for whiten in ("none", "supervised-3"):
        done = index([folder], tmp_path / "g", small.index_options(weights, whiten=whiten))
    assert (done.total, len(done.skipped)) == (6, 3)
    rows = {row["name"]: row["label"] for row in Gallery.open(tmp_path / "g").whole_table().to_pylist()}
    assert rows["a\nb/<script>alert(1)<%2Fscript>.png"] == "a\nb"
    assert {skip.name for skip in done.skipped} >= {"caf\\xe9/\\xfe.png", "caf\\xe9/\\xff.png"}
    assert len(set(rows.values())) == 2
    assert index([folder], tmp_path / "g", small.index_options(weights, whiten="supervised-3")).added == 0
    json.dumps([skip.name for skip in done.skipped]).encode()


def test_auto_is_rmac_of_two_layers_and_crow_in_512_numbers_of_any_number_of_images(made, images, weights, tmp_path):
    folder = made(descriptor="auto")
    parts = [small.stored(made(descriptor="rmac", layer=layer)) for layer in ("pool5", "relu5_2")]
    parts.append(small.stored(made(descriptor="crow")))
    np.testing.assert_allclose(small.stored(folder), np.concatenate(parts, 1), atol=1e-6)
    opened = Gallery.open(folder)
    assert opened.description.whiten == "shrunk-512"
    again = index([images], small.copy(folder, tmp_path / "g"), small.index_options(weights, descriptor="auto"))
    assert (again.added, again.dimension, again.warnings) == (0, 512, [])
