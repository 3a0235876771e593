"""The commands that find images of the same kind: index, search, compare, and what belongs to them."""

import dataclasses
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxloc.cli.messages import one_line_errors, say, say_json
from jaxloc.cli.options import (
    Backend,
    BatchSize,
    CacheSize,
    CompileCache,
    ComponentBackend,
    ComputeDtype,
    Conv,
    ConvChoice,
    Devices,
    Distributed,
    Download,
    Dtype,
    GalleryFolder,
    Paths,
    Profile,
    ShardWeights,
    Strict,
    WeightsName,
    Workers,
    bytes_of,
)
from jaxloc.errors import UsageError


class Descriptor(StrEnum):
    """What an image's vector is made of."""

    scda = "scda"
    scda_plus = "scda+"
    scda_flip_plus = "scda_flip+"
    avg = "avg"
    max = "max"
    pool5 = "pool5"
    spoc = "spoc"
    spoc_center = "spoc_center"
    crow = "crow"
    mac = "mac"
    rmac = "rmac"
    gem = "gem"
    vlad = "vlad"
    fv = "fv"
    fc8 = "fc8"
    fc8_box = "fc8_box"


class Rerank(StrEnum):
    """What is done to a ranking after the cosine."""

    none = "none"
    reciprocal = "reciprocal"
    diffusion = "diffusion"


Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="COCO file of labels. [default: the folder an image lies in]", dir_okay=False),
]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="Only images of this split in the --labels file; repeatable.")
]
WhitenChoice = Annotated[
    str | None,
    typer.Option(
        "--whiten",
        help="Post-processing fitted on the gallery: none, pca-256, svd-256 or supervised-256 (by labels). pca and svd "
        "may be followed by a power: svd-256:0 only rotates and cuts, svd-256:0.5 half whitens. [default: none]",
    ),
]
Layer = Annotated[str | None, typer.Option("--layer", help="Layer whose cells are pooled. [default: pool5]")]
LowerLayer = Annotated[
    str | None, typer.Option("--lower-layer", help="Second layer of SCDA+. [default: relu5_2 of VGG-16]")
]
Alpha = Annotated[
    float | None, typer.Option("--weight", help="Weight of SCDA+'s second layer (α in the paper). [default: 0.5]")
]
MaxSide = Annotated[
    int | None,
    typer.Option("--max-side", help="Shrink images whose shorter side is longer, in pixels; 0 never. [default: 700]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@one_line_errors
def index(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="The gallery's folder.", file_okay=False)],
    descriptor: Annotated[
        Descriptor | None, typer.Option("--descriptor", "-d", help="What a vector is made of. [default: scda]")
    ] = None,
    whiten: WhitenChoice = None,
    labels: Labels = None,
    split: Splits = None,
    weights: WeightsName = "vgg16",
    layer: Layer = None,
    lower_layer: LowerLayer = None,
    weight: Alpha = None,
    power: Annotated[float | None, typer.Option("--gem-power", help="Exponent of GeM. [default: 3]")] = None,
    levels: Annotated[int | None, typer.Option("--levels", help="Scales of R-MAC's regions. [default: 3]")] = None,
    region_global: Annotated[
        bool | None, typer.Option("--region-global/--no-region-global", help="R-MAC also takes the whole image.")
    ] = None,
    region_whiten: Annotated[
        int | None,
        typer.Option("--region-whiten", help="Whiten R-MAC's regions to so many dimensions. [default: no]"),
    ] = None,
    clusters: Annotated[
        int | None, typer.Option("--clusters", help="K of VLAD and Fisher vectors. [default: 2, the paper's]")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of VLAD's and the Fisher vector's codebook.")] = None,
    max_side: MaxSide = None,
    refit: Annotated[bool, typer.Option("--refit", help="Fit the whitening again, on all images.")] = False,
    shard_size: Annotated[
        int | None, typer.Option("--shard-size", help="Images in a shard: what a kill can cost. [default: 128]")
    ] = None,
    batch: BatchSize = None,
    devices: Devices = None,
    shard_weights: ShardWeights = False,
    components: ComponentBackend = Backend.auto,
    dtype: Annotated[Dtype | None, typer.Option("--dtype", help="What the network computes in.")] = None,
    conv: ConvChoice = Conv.auto,
    workers: Workers = None,
    strict: Strict = False,
    distributed: Distributed = False,
    compile_cache: CompileCache = None,
    profile: Profile = None,
    download: Download = False,
) -> None:
    """Describe images and keep their vectors in a gallery, to be searched.

    A gallery that is there is extended: images it holds are skipped, and its own settings are the defaults. After a
    kill, the same command goes on from the last finished shard. Vectors are safetensors, the table beside them is
    Parquet.

    Examples:
    - `jaxloc index photos --out gallery`

    - `jaxloc index birds --out gallery --descriptor scda_flip+ --whiten svd-256` (best in the paper)
    """
    from jaxloc.run import distributed
    from jaxloc.run.retrieval.index import default_options, index
    from jaxloc.run.retrieval.summary import index_text
    from jaxloc.run.runtime import set_up

    given: dict[str, Any] = {
        "descriptor": None if descriptor is None else descriptor.value,
        "whiten": whiten,
        "layer": layer,
        "lower_layer": lower_layer,
        "weight": weight,
        "power": power,
        "levels": levels,
        "region_global": region_global,
        "region_whiten": region_whiten,
        "clusters": clusters,
        "seed": seed,
        "max_side": max_side,
        "shard_size": shard_size,
        "dtype": None if dtype is None else dtype.value,
    }
    start = time.perf_counter()
    options = dataclasses.replace(
        default_options(out),
        **{name: value for name, value in given.items() if value is not None},
        **_reading(weights, batch, components, workers, download),
        devices=devices,
        shard_weights=shard_weights,
        conv=conv.value,
        refit=refit,
    )
    with set_up(distributed=distributed, cache=compile_cache, profile=profile):
        done = index(paths, out, options, labels=labels, splits=split or ())
    if distributed.is_first():
        say(index_text(done, time.perf_counter() - start))
    if strict and done.skipped:
        raise typer.Exit(3)


@one_line_errors
def search(
    gallery: GalleryFolder,
    queries: Paths,
    top: Annotated[
        int | None, typer.Option("--top", "-k", help="Results for each query. [default: 10, or all there are]")
    ] = None,
    expand: Annotated[bool, typer.Option("--expand", help="α-query expansion with the first results.")] = False,
    expand_with: Annotated[int, typer.Option("--expand-with", help="How many of them.")] = 10,
    alpha: Annotated[float, typer.Option("--alpha", help="Power of the cosine that weighs them.")] = 3.0,
    rerank: Annotated[
        Rerank,
        typer.Option(
            "--rerank",
            help="By k-reciprocal neighbours, or by diffusion on the gallery's graph, which is made in memory.",
        ),
    ] = Rerank.none,
    candidates: Annotated[int, typer.Option("--candidates", help="First results that are re-ranked.")] = 100,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Use the index that `jaxloc approximate` built.")
    ] = False,
    as_json: AsJson = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page: each query, its object, its results.", dir_okay=False),
    ] = None,
    dimensions: Annotated[
        int, typer.Option("--attributes", help="Also show the two ends of so many dimensions on the page.")
    ] = 0,
    labels: Labels = None,
    split: Splits = None,
    weights: WeightsName = "vgg16",
    batch: BatchSize = None,
    components: ComponentBackend = Backend.auto,
    workers: Workers = None,
    strict: Strict = False,
    download: Download = False,
) -> None:
    """Find the images of a gallery that are most like each query.

    Examples:
    - `jaxloc search gallery query.jpg`

    - `jaxloc search gallery queries --top 20 --expand --html found.html`
    """
    from jaxloc._files import write_text
    from jaxloc.report.search_page import render_search
    from jaxloc.run.options import Reading
    from jaxloc.run.retrieval.attribute_strips import strips
    from jaxloc.run.retrieval.reranking import Ranking
    from jaxloc.run.retrieval.search import search, to_plain
    from jaxloc.run.retrieval.summary import search_text

    if dimensions < 0:
        raise UsageError(f"--attributes must be at least 0, not {dimensions}")
    if dimensions and html is None:
        raise UsageError("--attributes are shown on the page: name it with --html")
    if expand_with < 1:
        raise UsageError(f"--expand-with must be at least 1, not {expand_with}")
    ranking = Ranking(
        top=top,
        expand=expand_with if expand else 0,
        alpha=alpha,
        rerank=rerank.value,
        candidates=candidates,
        approximate=approximate,
    )
    found = search(
        gallery,
        queries,
        Reading(**_reading(weights, batch, components, workers, download)),
        ranking,
        labels=labels,
        splits=split or (),
        images=html is not None,
        strips=strips(gallery, range(dimensions)) if dimensions else (),
    )
    if html is not None:
        write_text(html, render_search(found))
    if as_json:
        say_json(to_plain(found))
    else:
        say(search_text(found))
        if html is not None:
            say(f"\nLook at {html}")
    if strict and found.skipped:
        raise typer.Exit(3)


@one_line_errors
def compare(
    paths: Paths,
    descriptors: Annotated[
        list[str] | None,
        typer.Option(
            "--descriptor",
            "-d",
            help="Only this descriptor, as in `jaxloc index`, or fc8_truth; repeatable. [default: all]",
        ),
    ] = None,
    whitenings: Annotated[
        list[str] | None,
        typer.Option(
            "--whiten", help="Only this post-processing, as in `jaxloc index`; repeatable. [default: the paper's]"
        ),
    ] = None,
    labels: Labels = None,
    queries: Annotated[
        list[Path] | None, typer.Option("--queries", help="Images that are queries and not searched; repeatable.")
    ] = None,
    query_split: Annotated[
        list[str] | None,
        typer.Option("--query-split", help="Images of this split are queries and not searched; repeatable."),
    ] = None,
    as_json: AsJson = False,
    weights: WeightsName = "vgg16",
    layer: Layer = None,
    lower_layer: LowerLayer = None,
    weight: Alpha = None,
    region_whiten: Annotated[
        int, typer.Option("--region-whiten", help="Whiten R-MAC's regions to so many dimensions; 0 does not.")
    ] = 0,
    clusters: Annotated[int, typer.Option("--clusters", help="K of VLAD and Fisher vectors.")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="Of VLAD's and the Fisher vector's codebook.")] = 0,
    max_side: MaxSide = None,
    feature_cache: CacheSize = 4.0,
    batch: BatchSize = None,
    components: ComponentBackend = Backend.auto,
    dtype: ComputeDtype = Dtype.float32,
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Compare descriptors and whitenings on labelled images, from one pass of the network: the paper's table.

    Each image in turn is a query against the rest, unless queries are named.

    Examples:
    - `jaxloc compare flowers` (each folder is a kind)

    - `jaxloc compare products --labels products/annotations.json --query-split iconic`
    """
    from jaxloc.run.retrieval.compare import WHITENINGS, compare, to_plain
    from jaxloc.run.retrieval.options import Describing
    from jaxloc.run.retrieval.summary import comparison_table, line_text

    given: dict[str, Any] = {"layer": layer, "lower_layer": lower_layer, "weight": weight, "max_side": max_side}
    options = Describing(
        **{name: value for name, value in given.items() if value is not None},
        **_reading(weights, batch, components, workers, download),
        dtype=dtype.value,
        region_whiten=region_whiten,
        clusters=clusters,
        seed=seed,
        feature_cache=bytes_of(feature_cache),
    )
    result = compare(
        paths,
        options,
        descriptors=descriptors or (),
        whitenings=whitenings or WHITENINGS,
        labels=labels,
        queries=queries or (),
        query_splits=query_split or (),
        when_done=lambda line: say(line_text(line), err=True),
    )
    if as_json:
        say_json(to_plain(result))
    else:
        say(comparison_table(result))


def _reading(
    weights: str, batch: int | None, components: Backend, workers: int | None, download: bool
) -> dict[str, Any]:
    return {
        "weights": weights,
        "batch": batch,
        "backend": components.value,
        "workers": workers,
        "allow_download": download or None,
    }
