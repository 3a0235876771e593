"""What a job decides: signs, noise, and which images make a set."""

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

from jaxloc.errors import UsageError
from jaxloc.run import Options, apply, colocalize, model_file
from tests.reference import scda_ddt as reference
from tests.run import helpers
from tests.soaked import soaked


def test_the_loading_rule_makes_the_largest_loading_positive(photos, tmp_path):
    colocalize([photos], tmp_path, Options(sign="loading"))
    components = np.asarray(helpers.the_model(tmp_path).components)
    assert (components[np.arange(2), np.abs(components).argmax(1)] > 0).all()


def test_without_a_rule_only_the_sign_may_differ(job, photos, tmp_path):
    colocalize([photos], tmp_path, Options(sign="none"))
    found, expected = (helpers.the_model(folder) for folder in (tmp_path, job("ddt").folder))
    np.testing.assert_allclose(np.abs(found.components), np.abs(expected.components), atol=1e-6)


@pytest.mark.parametrize("size", soaked([0, 4 << 30], [0]))
def test_the_minority_rule_makes_fewer_cells_positive_than_not(small_vgg16, tmp_path, size):
    folder = helpers.plant(tmp_path / "in", [])
    cup = Image.fromarray(skimage.data.coffee())
    for number in range(3):
        place = 10 * number
        cup.crop((place, place, place + 360, place + 360)).resize((128, 128)).save(folder / f"{number}.png")
    maps = helpers.features(small_vgg16, sorted(folder.iterdir()), ["relu5_3"])["relu5_3"]
    shares = []
    for sign in ("aggregation", "minority", "border"):
        colocalize([folder], tmp_path / sign, Options(sign=sign, feature_cache=size))
        model = helpers.the_model(tmp_path / sign)
        indicators = [
            reference.ddt_indicator(one, np.asarray(model.mean), np.transpose(model.components)) for one in maps
        ]
        shares.append(np.mean([(one > 0).mean((0, 1)) for one in indicators], 0))
    assert shares[0].min() < 0.48
    assert shares[0].max() > 0.52
    np.testing.assert_allclose(shares[1], np.minimum(shares[0], 1 - shares[0]), atol=1e-6)


def test_an_image_at_or_below_the_noise_threshold_is_noisy_and_has_no_box(job, photos, tmp_path):
    before = job("ddt").findings.images
    shares = sorted(item.noise_score for item in before)
    threshold = (shares[2] + shares[3]) / 2
    findings = colocalize([photos], tmp_path, Options(noise_threshold=threshold))
    boxes = helpers.boxes_of(tmp_path)
    for old, new in zip(before, findings.images, strict=True):
        assert new.noise_score == old.noise_score
        assert new.noisy == (old.noise_score <= threshold)
        assert new.found == (not new.noisy)
        assert boxes[new.name] == (None if new.noisy else old.box)
    assert sum(item.noisy for item in findings.images) == 3


def test_an_image_whose_share_is_exactly_the_threshold_is_noisy(job, paths, tmp_path):
    folder = helpers.plant(tmp_path / "in", [])
    for path in paths[1::2]:
        with Image.open(path) as image:
            for name, one in {"a": image, "b": ImageOps.mirror(image), "c": ImageOps.flip(image)}.items():
                one.save(folder / f"{path.stem}-{name}.png")
    model = job("ddt").folder / "model.safetensors"
    cells = {item.name: round(item.noise_score * 48) for item in apply(model, [folder], tmp_path / "out").images}
    exact = sorted(cells.values())[len(cells) // 2] / 48
    findings = apply(model, [folder], tmp_path / "exact", Options(noise_threshold=exact))
    assert [item.noisy for item in findings.images] == [cells[item.name] / 48 <= exact for item in findings.images]


def test_each_folder_is_fitted_on_its_own_and_those_with_too_few_images_are_skipped(job, paths, tmp_path):
    helpers.plant(tmp_path / "in" / "motorcycle", paths)
    helpers.plant(tmp_path / "in" / "lonely", paths[:1])
    (helpers.plant(tmp_path / "in" / "broken", []) / "a.jpg").write_bytes(b"no image")
    findings = colocalize([tmp_path / "in"], tmp_path / "out", per_folder=True)
    assert findings.categories == ["broken", "lonely", "motorcycle"]
    assert {item.name: item.reason for item in findings.skipped} == {
        "broken/a.jpg": "not an image, or of a kind that Pillow does not know",
        f"lonely/{paths[0].name}": "its set has fewer than 2 readable images, and DDT needs them",
    }
    alone = helpers.boxes_of(job("ddt").folder)
    assert helpers.boxes_of(tmp_path / "out") == {f"motorcycle/{name}": box for name, box in alone.items()}
    assert list(model_file.load(tmp_path / "out/model.safetensors").sets) == ["motorcycle"]
    coco = helpers.annotations(tmp_path / "out")
    names = {entry["id"]: entry["name"] for entry in coco["categories"]}
    assert {names[entry["category_id"]] for entry in coco["images"]} == {"motorcycle"}
    assert {entry["file_name"]: names[entry["category_id"]] for entry in coco["skipped"]} == {
        "broken/a.jpg": "broken",
        f"lonely/{paths[0].name}": "lonely",
    }


@pytest.mark.parametrize("per_folder", [False, True])
def test_sets_of_one_image_only_are_refused(paths, tmp_path, per_folder):
    helpers.plant(tmp_path / "in" / "a", paths[:1])
    if per_folder:
        helpers.plant(tmp_path / "in" / "b", paths[2:3])
    with pytest.raises(UsageError, match=r"at least 2 readable images in a set.*jaxloc localize"):
        colocalize([tmp_path / "in"], tmp_path / "out", per_folder=per_folder)
    assert helpers.every_file(tmp_path / "out") == {}
