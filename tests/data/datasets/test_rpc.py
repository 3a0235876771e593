"""RPC as its authors publish it: exemplars with a box, and checkout images by level."""

from jaxloc.data.datasets import open_dataset
from tests.data.datasets import rpc_tree


def test_exemplars_and_checkout_images(tmp_path):
    dataset = open_dataset(f"rpc:{rpc_tree.rpc(tmp_path)}")
    assert dataset.problems == []
    assert len(dataset.images) == 18
    exemplar = dataset.images["train2019/0.jpg"]
    assert (exemplar.splits, exemplar.level) == (("train",), None)
    assert [one.category for one in exemplar.annotations] == ["1_tea"]
    checkout = dataset.images["test2019/1.jpg"]
    assert (checkout.splits, checkout.level) == (("test",), "medium")
    assert [one.category for one in checkout.annotations] == ["2_tea", "3_tea"]
    assert len(open_dataset(f"rpc/test:{tmp_path}").images) == 6
