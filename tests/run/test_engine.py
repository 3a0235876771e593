from jaxloc.options import NetworkOptions
from jaxloc.run.engine import of_network


def test_a_model_of_another_network_is_applied_with_that_network_unless_weights_were_chosen():
    assert of_network(NetworkOptions(), "alexnet").weights == "alexnet"
    assert of_network(NetworkOptions(weights="tuned.safetensors"), "alexnet").weights == "tuned.safetensors"


def test_a_network_that_is_not_registered_is_not_looked_for():
    assert of_network(NetworkOptions(), "mine") == NetworkOptions()
