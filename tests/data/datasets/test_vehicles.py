"""Vehicles as their authors publish them: identities, kinds, and queries."""

from jaxloc.data.datasets import open_dataset
from tests.data.datasets import vehicle_trees


def test_vehicles_of_veri(tmp_path):
    dataset = open_dataset(f"veri776:{vehicle_trees.veri(tmp_path)}")
    assert dataset.problems == []
    image = dataset.images["image_train/0002_c002_00000005_0.jpg"]
    assert (image.category, image.coarse, image.splits) == ("0002", "type 1", ("train",))
    assert dataset.images["image_train/0001_c001_00000000_0.jpg"].coarse == "type 2"
    assert len(dataset.queries) == 4
    query = next(one for one in dataset.queries if one.name == "image_query/0003_c001_00000002_0.jpg")
    assert query.box is None
    assert query.judged == {
        "good": ("image_test/0003_c002_00000006_0.jpg",),
        "junk": ("image_test/0003_c001_00000002_0.jpg",),
    }
    train = open_dataset(f"veri776/train:{tmp_path}")
    assert (len(train.images), train.queries) == (4, ())
    (tmp_path / "train_label.xml").write_text("<Items>")
    (tmp_path / "test_label.xml").unlink()
    without = open_dataset(f"veri776:{tmp_path}")
    assert {image.coarse for image in without.images.values()} == {None}
    assert "is not readable as XML" in without.problems[0].what


def test_vehicles_of_vehicle_id(tmp_path):
    dataset = open_dataset(f"vehicleid:{vehicle_trees.vehicle_id(tmp_path)}")
    told = {name: (one.category, one.coarse, one.splits) for name, one in dataset.images.items()}
    assert told["image/0000000.jpg"] == ("50", "model 3", ("train",))
    assert told["image/0000004.jpg"] == ("51", "model 7", ("test_800", "test_1600"))
    assert told["image/0000005.jpg"] == ("52", None, ("test_800",))
    assert len(open_dataset(f"vehicleid/test_1600:{tmp_path}").images) == 2
