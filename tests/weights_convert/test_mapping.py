import numpy as np
import pytest

from jaxloc.errors import WeightsError
from weights_convert import mapping


def layers(number):
    return [(np.full((3, 3, 1, 1), i), np.full(1, i)) for i in range(number)]


def test_convolutions_are_named_from_the_image_upwards():
    arrays, _ = mapping.by_order(layers(13), [], "file")
    assert [name.removesuffix("/kernel") for name in arrays if name.endswith("/kernel")] == [
        *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
        *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"),
    ]


@pytest.mark.parametrize(("convolutions", "name"), [(13, "vgg16"), (16, "vgg19")])
def test_the_number_of_convolutions_tells_the_backbone(convolutions, name):
    assert mapping.by_order(layers(convolutions), [], "file")[1].name == name


def test_another_number_of_convolutions_is_no_vgg():
    with pytest.raises(WeightsError, match=r"^some\.pth: 8 convolutions where vgg16 has 13, vgg19 has 16"):
        mapping.by_order(layers(8), [], "some.pth")


def test_a_dense_layer_with_outputs_first_is_a_convolution_over_the_channels_first_map():
    rng = np.random.default_rng(0)
    image, weight = rng.standard_normal((7, 7, 5)), rng.standard_normal((4, 5 * 49))
    kernel = mapping.out_first(weight)
    assert kernel.shape == (7, 7, 5, 4)
    np.testing.assert_allclose(np.tensordot(image, kernel, 3), weight @ image.transpose(2, 0, 1).ravel())


def test_a_dense_layer_with_outputs_last_is_a_convolution_over_the_channels_last_map():
    rng = np.random.default_rng(0)
    image, weight = rng.standard_normal((7, 7, 5)), rng.standard_normal((5 * 49, 4))
    kernel = mapping.out_last(weight)
    assert kernel.shape == (7, 7, 5, 4)
    np.testing.assert_allclose(np.tensordot(image, kernel, 3), image.ravel() @ weight)


def test_a_dense_layer_above_the_first_is_a_convolution_of_one_cell():
    weight = np.arange(8 * 12.0).reshape(8, 12)
    np.testing.assert_array_equal(mapping.out_first(weight)[0, 0], weight.T)
    np.testing.assert_array_equal(mapping.out_last(weight.T)[0, 0], weight.T)


def test_a_convolution_keeps_its_rows_and_columns():
    weight = np.arange(4 * 5 * 2 * 3).reshape(4, 5, 2, 3)
    kernel = mapping.out_first(weight)
    assert kernel.shape == (2, 3, 5, 4)
    assert kernel[1, 2, 4, 3] == weight[3, 4, 1, 2]
    np.testing.assert_array_equal(mapping.out_last(kernel), kernel)


def test_layers_without_names_are_named_by_their_order():
    every = layers(19)
    arrays, _ = mapping.by_order(every[:16], every[16:], "file")
    assert len(arrays) == 38
    assert arrays["conv1_1/kernel"].max() == 0
    assert arrays["conv5_4/bias"].max() == 15
    assert [arrays[f"fc{i}/kernel"].max() for i in (6, 7, 8)] == [16, 17, 18]


def test_a_classifier_of_another_depth_is_refused():
    with pytest.raises(WeightsError, match=r"^my\.h5: 2 dense layers where VGG-16 has 3: give the original weights"):
        mapping.by_order(layers(13), layers(2), "my.h5")
