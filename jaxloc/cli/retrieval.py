"""The commands that find images of the same kind: index, search, compare."""

import dataclasses
import time
from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxloc.cli.arguments import AsJson, GalleryFolder, Labels, Paths, Splits
from jaxloc.cli.command import Fields, command
from jaxloc.cli.messages import say, tell
from jaxloc.errors import UsageError
from jaxloc.options import DescribeOptions, IndexOptions, NetworkOptions, ProcessOptions, SearchOptions

_READ = {"weights", "batch", "backend", "workers", "allow_download"}
_NOT_INDEXED = {"connectivity", "feature_cache", "report_limit"}
_NOT_COMPARED = {"devices", "shard_weights", "connectivity", "conv", "report_limit", "power", "levels", "region_global"}


@command
def index(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="The gallery's folder.", file_okay=False)],
    given: Annotated[dict[str, Any], Fields(given=IndexOptions, leave_out=_NOT_INDEXED)],
    process: ProcessOptions,
    labels: Labels = None,
    split: Splits = None,
) -> Sized:
    """Describe images and keep their vectors in a gallery, to be searched.

    A gallery that exists is extended: images that it holds are skipped, and its settings are the defaults. After a
    kill, the same command resumes from the last finished shard. Vectors are safetensors, the table beside them is
    Parquet.

    Examples:
    - `jaxloc index photos --out gallery`

    - `jaxloc index birds --out gallery --descriptor scda_flip+ --whiten svd-256` (best in the paper)
    """
    from jaxloc.run import distributed
    from jaxloc.run.retrieval.index import default_options, index
    from jaxloc.run.retrieval.summary import index_text
    from jaxloc.run.runtime import set_up

    start = time.perf_counter()
    options = dataclasses.replace(default_options(out), **given)
    with set_up(**vars(process)):
        done = index(paths, out, options, labels=labels, splits=split or ())
    if distributed.is_first():
        say(index_text(done, time.perf_counter() - start))
    return done.skipped


@command
def search(
    gallery: GalleryFolder,
    queries: Paths,
    ranking: SearchOptions,
    options: Annotated[NetworkOptions, Fields(only=_READ)],
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page: each query, its object, its results.", dir_okay=False)
    ] = None,
    dimensions: Annotated[
        int,
        typer.Option(
            "--attributes", help="On the page, also show both ends of this number of dimensions.", hidden=True
        ),
    ] = 0,
    labels: Labels = None,
    split: Splits = None,
) -> Sized:
    """Find the images of a gallery that are most like each query.

    Examples:
    - `jaxloc search gallery query.jpg`

    - `jaxloc search gallery queries --top 20 --expand --html found.html`
    """
    from jaxloc._files import write_text
    from jaxloc.report.search_page import render_search
    from jaxloc.run.retrieval.attribute_strips import strips
    from jaxloc.run.retrieval.search import search, to_plain
    from jaxloc.run.retrieval.summary import search_text

    if dimensions < 0:
        raise UsageError(f"--attributes must be at least 0, not {dimensions}")
    if dimensions and html is None:
        raise UsageError("--attributes are shown on the page: name it with --html")
    found = search(
        gallery,
        queries,
        options,
        ranking,
        labels=labels,
        splits=split or (),
        images=html is not None,
        strips=strips(gallery, range(dimensions)) if dimensions else (),
    )
    if html is not None:
        write_text(html, render_search(found))
    look = "" if html is None else f"\n\nLook at {html}"
    tell(as_json, lambda: to_plain(found), lambda: search_text(found) + look)
    return found.skipped


@command
def compare(
    paths: Paths,
    options: Annotated[DescribeOptions, Fields(leave_out=_NOT_COMPARED)],
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
) -> None:
    """Compare descriptors and whitenings on labelled images, from one pass of the network: the paper's table.

    Each image in turn is a query against the rest, unless queries are named.

    Examples:
    - `jaxloc compare flowers` (each folder is a kind)

    - `jaxloc compare products --labels products/annotations.json --query-split iconic`
    """
    from jaxloc.run.retrieval.compare import WHITENINGS, compare, to_plain
    from jaxloc.run.retrieval.summary import comparison_table, line_text

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
    tell(as_json, lambda: to_plain(result), lambda: comparison_table(result))
