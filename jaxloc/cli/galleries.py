"""The commands about an existing gallery: meaning of its dimensions, removal, approximate index."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxloc.cli.arguments import GalleryFolder
from jaxloc.cli.messages import one_line_errors, say
from jaxloc.errors import UsageError


@one_line_errors
def attributes(
    gallery: GalleryFolder,
    html: Annotated[Path, typer.Option("--html", help="The page to write.", dir_okay=False)],
    dimensions: Annotated[int, typer.Option("--dimensions", help="Number of dimensions, from the first.")] = 10,
    count: Annotated[int, typer.Option("--count", help="Images at each end.")] = 6,
) -> None:
    """Show what the dimensions of a gallery's vectors stand for: the images at both ends of each.

    The dimensions say most after a whitening (section 4.2 of the paper).

    Example: `jaxloc attributes gallery --html attributes.html`
    """
    from jaxloc._files import write_text
    from jaxloc.report.search_page import render_search
    from jaxloc.run.retrieval.attribute_strips import attributes_of

    if dimensions < 1 or count < 1:
        raise UsageError("--dimensions and --count must be at least 1")
    write_text(html, render_search(attributes_of(gallery, dimensions, count=count)))
    say(f"Look at {html}")


@one_line_errors
def remove(
    gallery: GalleryFolder,
    images: Annotated[list[str], typer.Argument(help="Names or paths as they stand in the gallery's table.")],
) -> None:
    """Take images out of a gallery; the photographs themselves stay.

    Example: `jaxloc remove gallery daisy/blurred.jpg`
    """
    from jaxloc.run.retrieval.index import remove

    say(f"{remove(gallery, images)} removed.")


@one_line_errors
def approximate(
    gallery: GalleryFolder,
    kind: Annotated[
        Literal["hnsw", "ivf-pq"],
        typer.Option("--kind", help="hnsw: best recall; ivf-pq: least memory, from about 10,000 vectors."),
    ] = "hnsw",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sample that it is trained and measured on.")] = 0,
) -> None:
    """Build an approximate index with FAISS, for galleries past a million images, and print its recall.

    The exact search needs no index. Needs the extra: pip install 'jaxloc[faiss]'.

    Example: `jaxloc approximate gallery`, then `jaxloc search gallery query.jpg --approximate`
    """
    from jaxloc.run.retrieval.approximate import build

    made = build(gallery, kind, seed=seed)
    say(
        f"{made.kind} over {made.vectors:,} vectors, {made.bytes / 1e6:,.1f} MB: {100 * made.recall:.2f} % of the "
        f"exact first {made.k} are among its first {made.k} (measured with {made.queries:,} vectors of the gallery)."
    )
