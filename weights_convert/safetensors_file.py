"""safetensors files with PyTorch's names: timm's on the Hugging Face hub, or torchvision's."""

from pathlib import Path

import safetensors.numpy

from jaxloc.errors import WeightsError
from jaxloc.models import weights_file
from weights_convert.mapping import Found
from weights_convert.state_dict import from_state_dict


def read(path: Path) -> Found:
    """Read a safetensors file that holds a state dict.

    Raises:
        WeightsError: of another network, or already converted. A damaged file may raise anything.
    """
    if weights_file.read_metadata(path).get("format") == weights_file.FORMAT:
        raise WeightsError(f"{path}: already in jaxloc's own format: use it as it is")
    return from_state_dict(safetensors.numpy.load_file(path), f"safetensors file {path.name}", str(path))
