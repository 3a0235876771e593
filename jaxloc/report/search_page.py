"""Results of a search as one HTML page: each query beside its ranked results, and dimensions shown by example."""

import statistics
from typing import Any

import numpy as np

from jaxloc.report import elements
from jaxloc.report.search_records import Example, Query, Result, Searched, Strip
from jaxloc.report.text import counted

# What a score means, by the way of ranking.
_SCORES = {
    "none": "<b>Score</b>: cosine of the vectors of query and result; 1 is the most.",
    "reciprocal": "<b>Score</b>: one minus the distance after re-ranking by k-reciprocal neighbours; 1 is the most.",
    "diffusion": "<b>Score</b>: what diffusion from the query brings to the result; more is more alike.",
}

_NAMES = 5
"""Names of an image that the page holds at most."""

_NAMING = [
    "<b>Name</b>: the class whose exemplars' mean vector is nearest to the image's; with a mapping, the class whose "
    "classifier, made from that mean, gives the highest score.",
    "<b>Score</b>: the cosine of the two, 1 is the most; with a mapping, the product of classifier and vector. Beside "
    "an exemplar it is the cosine of the two images.",
    "<b>Margin</b>: how far the best name's score lies above the second's. Sort by it to see doubtful names first.",
    "Enlarge an image for the scores of its best names.",
]


def render_search(searched: Searched, *, limit: int = 200) -> str:
    """The page's text: figures of all queries and settings, then each of at most ``limit`` queries with its results."""
    shown = elements.choose(searched.queries, limit)
    labels = sorted({query.label for query in searched.queries if query.label is not None})
    without = sum(not query.found for query in searched.queries)
    gallery = counted(searched.gallery_size, "image")
    return elements.page(
        "search",
        title=searched.title,
        lead=searched.lead or f"{counted(len(searched.queries), 'query')} searched in a gallery of {gallery}.",
        warnings=searched.warnings,
        tiles={
            "Queries": f"{len(searched.queries):,}",
            searched.gallery_name: f"{searched.gallery_size:,}",
            **searched.summary,
            **({"Without object": f"{without:,}"} if without else {}),
            "Skipped": f"{len(searched.skipped):,}",
        },
        tables=_label_table(searched.queries, labels) + "\n" + elements.settings(searched.settings),
        noscript="The images below need JavaScript.",
        limit_note=elements.limit_note(len(shown), len(searched.queries), "query", "."),
        toggles=elements.toggle("mask", "Mask", key="m", checked=True, kind="of-mask")
        + elements.toggle("box", "Box", key="b", kind="of-box"),
        jumps=_jumps(searched),
        dimensions=_dimensions(searched.strips),
        skipped=elements.skipped(
            searched.skipped, sorted({item.category for item in searched.skipped}), limit=limit, rest="."
        ),
        reading=_reading(searched),
        data=_data(shown, labels, searched.strips),
    )


def _failed(query: Query) -> bool:
    """Whether there is no object or no result, or the best result is known to be wrong."""
    if not query.found or not query.results:
        return True
    best = query.results[0].relevant
    return best is not None and not best


def _label_table(queries: list[Query], labels: list[str]) -> str:
    """Failures and mean AP of each label; nothing if there is only one."""
    if len(labels) < 2:
        return ""
    by_label: dict[str | None, list[Query]] = {label: [] for label in labels}
    for query in queries:
        by_label.setdefault(query.label, []).append(query)
    rows = []
    if queries[0].names:
        for index, label in enumerate(labels):
            margins = [query.margin for query in by_label[label] if query.margin is not None]
            cells = f"{len(margins):,}", f"{statistics.fmean(margins):.3f}", f"{min(margins):.3f}"
            rows.append(elements.group_row(index, label, cells))
        return elements.details("Names", "groups", ["Name", "Queries", "Mean margin", "Smallest"], rows)
    for index, label in enumerate(labels):
        precisions = [q.average_precision for q in by_label[label] if q.average_precision is not None]
        mean = f"{statistics.fmean(precisions):.3f}" if precisions else "–"
        failures = sum(map(_failed, by_label[label]))
        rows.append(elements.group_row(index, label, (f"{len(by_label[label]):,}", f"{failures:,}", mean)))
    return elements.details("Labels", "groups", ["Label", "Queries", "Failures", "Mean AP"], rows)


def _jumps(searched: Searched) -> str:
    """Links to the page's parts, if there are several."""
    parts = {"queries": bool(searched.queries), "dimensions": bool(searched.strips), "skipped": bool(searched.skipped)}
    links = [f'<a href="#{name}">{name.capitalize()}</a>' for name, there in parts.items() if there]
    return f'<nav aria-label="Parts of the page">{" ".join(links)}</nav>' if len(links) > 1 else ""


def _dimensions(strips: list[Strip]) -> str:
    if not strips:
        return ""
    return (
        '<section id="dimensions" aria-labelledby="dimensions-title"><h2 id="dimensions-title">Dimensions '
        f'<span class="number">{len(strips):,}</span></h2><p class="note">The images of the gallery with the highest '
        'and the lowest values in one dimension of their vectors.</p><ul class="strips"></ul></section>'
    )


def _reading(searched: Searched) -> list[str]:
    if any(query.names for query in searched.queries):
        return _NAMING
    judged = any(result.relevant is not None for query in searched.queries for result in query.results)
    items = [_SCORES.get(searched.settings.get("re-ranking", ""), "<b>Score</b>: how alike query and result are.")]
    if judged:
        items.append(
            '<b class="right">✓</b> and a green frame: relevant, it has the label of the query; '
            '<b class="wrong">✗</b> and a red frame: it is not.'
        )
    if any(query.average_precision is not None for query in searched.queries):
        items.append(
            "<b>AP</b>: of the results shown for one query, the mean precision at the relevant ones, from 0 to 1; "
            "1 where they come first, 0 where there is none."
        )
    items.append(
        "<b>Failures</b>: "
        + ("the best result is not relevant, " if judged else "")
        + "no object was found to search with, or no result."
    )
    if any(query.mask is not None for query in searched.queries):
        items.append("<b>Mask</b>: the cells that the query was searched with; the rest of the image is darkened.")
    if searched.strips:
        items.append("<b>Dimensions</b>: which end is the high one is chance, and a dimension need not mean anything.")
    return items


def _data(queries: list[Query], labels: list[str], strips: list[Strip]) -> str:
    """What search.js shows: images and thumbnails are numbered, so that each is there once."""
    thumbnails: dict[bytes, int] = {}
    images: dict[tuple[Any, ...], int] = {}

    def image(item: Query | Result | Example) -> int:
        size = (None, None, None) if isinstance(item, Example) else (item.width, item.height, item.box)
        data = item.thumbnail
        thumbnail = None if data is None else thumbnails.setdefault(data, len(thumbnails))
        return images.setdefault((item.name, item.label, thumbnail, *size), len(images))

    fields = ("name", "label", "thumbnail", "width", "height", "box")
    numbers = {label: index for index, label in enumerate(labels)}
    shown_queries = [
        {
            "image": image(query),
            "label": None if query.label is None else numbers[query.label],
            "mask": _mask(query),
            "found": bool(query.found),
            "failed": _failed(query),
            "precision": elements.number(query.average_precision),
            "margin": elements.number(query.margin),
            "names": [[name, elements.number(score)] for name, score in query.names[:_NAMES]],
            "results": [
                [image(one), elements.number(one.score), None if one.relevant is None else bool(one.relevant)]
                for one in query.results
            ],
        }
        for query in queries
    ]
    shown_strips = [
        {
            "dimension": int(strip.dimension),
            "share": elements.number(strip.share),
            "high": [[image(one), elements.number(one.value)] for one in strip.high],
            "low": [[image(one), elements.number(one.value)] for one in strip.low],
        }
        for strip in strips
    ]
    return elements.safe_json(
        labels=labels,
        queries=shown_queries,
        strips=shown_strips,
        images=(dict(zip(fields, (*one[:-1], elements.edges(one[-1])), strict=True)) for one in images),
        thumbnails=map(elements.base64_text, thumbnails),
    )


def _mask(query: Query) -> dict[str, Any] | None:
    """The mask as bits, a row after the other, the first in the highest bit."""
    if query.mask is None or not query.mask.any():
        return None
    rows, columns = query.mask.shape
    cells = elements.base64_text(np.packbits(query.mask.astype(bool)).tobytes())
    return {"rows": rows, "columns": columns, "cells": cells}
