"""Elements of every page: one HTML file without network access; the same content gives the same bytes."""

import base64
import hashlib
import importlib.resources
import itertools
import json
import math
import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from jaxloc import __version__
from jaxloc.report.records import Skipped
from jaxloc.report.text import counted


def page(
    name: str,
    *,
    title: str,
    lead: str,
    warnings: Sequence[str],
    tiles: Mapping[str, str],
    tables: str,
    noscript: str,
    toggles: str,
    reading: Iterable[str],
    data: str,
    **parts: str,
) -> str:
    """A whole page: ``base.html`` around the main part, with the styles and scripts of both.

    ``name`` is that of the main part: ``name.html``, ``name.css`` and ``name.js``. Texts are plain; ``tables``,
    ``toggles``, ``reading`` and ``parts`` are HTML, and ``data`` is from ``safe_json``.
    """
    script = "\n" + _asset("base.js") + "\n" + _asset(f"{name}.js")
    return string.Template(_asset("base.html")).substitute(
        title=escape(title),
        version=escape(__version__),
        lead=escape(lead),
        warnings=_warnings(warnings),
        tiles="\n".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in tiles.items()),
        tables=tables,
        noscript=escape(noscript),
        main=string.Template(_asset(f"{name}.html")).substitute(
            toggles=toggles, search=_asset("controls_search.html"), nothing=_asset("images_none.html"), **parts
        ),
        toggles=toggles,
        reading="\n".join(f"<li>{item}</li>" for item in reading),
        style=_asset("base.css") + _asset(f"{name}.css"),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=data,
    )


def _asset(name: str) -> str:
    return importlib.resources.files("jaxloc.report").joinpath(name).read_text(encoding="utf-8")


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<section class="warnings" aria-label="Warnings"><h2>Please check</h2><ul>{items}</ul></section>'


def choose(items: Sequence[Any], limit: int) -> list[Any]:
    """The first ``limit`` items, those with a thumbnail before those without, in their own order."""
    preferred = sorted(range(len(items)), key=lambda index: items[index].thumbnail is None)
    return [items[index] for index in sorted(preferred[:limit])]


def group_name(name: str) -> str:
    """The name of a set or a label as HTML, which an empty one has too."""
    return f"<bdi>{escape(name)}</bdi>" if name else "(unnamed)"


def details(summary: str, name: str, headings: Sequence[str], rows: Sequence[str], *, opened: bool = False) -> str:
    """A table that folds away, or nothing if it has no row; all but ``name`` is HTML."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "\n".join(rows)
    return (
        f'<details class="{name}"{" open" if opened else ""}><summary>{summary}</summary><div class="scroll">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></details>"
    )


def group_row(number: int, name: str, cells: Iterable[str]) -> str:
    """A table row of one set or label, whose name the script makes a filter."""
    return (
        f'<tr data-group="{number}"><th scope="row"><button type="button" class="link" aria-pressed="false">'
        f"{group_name(name)}</button></th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    )


def settings(values: Mapping[str, str]) -> str:
    """The table of settings, folded away."""
    rows = [f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in values.items()]
    return details("Settings", "settings", ["Setting", "Value"], rows)


def toggle(name: str, label: str, *, key: str, checked: bool = False, kind: str = "") -> str:
    """A box that switches one layer of the images, by pointer or key."""
    return (
        f'<label title="Key: {key}" class="{kind}"><input type="checkbox" '
        f'data-toggle="{name}" data-key="{key}"{" checked" if checked else ""}> {label}</label>'
    )


def skipped(items: Sequence[Skipped], categories: Sequence[str], *, limit: int, rest: str) -> str:
    """The table of skipped images, or nothing; ``rest`` is HTML after "5 more", such as the file of the others."""
    if not items:
        return ""
    numbers = {category: number for number, category in enumerate(categories)}
    named = any(categories)

    def row(item: Skipped) -> str:
        group = f"<td>{group_name(item.category)}</td>" if named else ""
        return (
            f'<tr data-group="{numbers[item.category]}"><td><bdi>{escape(item.name)}</bdi></td>{group}'
            f"<td>{escape(item.reason)}</td></tr>"
        )

    rows = "\n".join(map(row, itertools.islice(items, limit)))
    more = len(items) - limit
    note = f'<p class="note">{more:,} more{rest}</p>' if more > 0 else ""
    heading = '<th scope="col">Set</th>' if named else ""
    return (
        '<section id="skipped" aria-labelledby="skipped-title"><h2 id="skipped-title">Skipped '
        f'<span class="number">{len(items):,}</span></h2><div class="scroll"><table>'
        f'<thead><tr><th scope="col">Name</th>{heading}<th scope="col">Why</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>{note}</section>"
    )


def limit_note(shown: int, total: int, noun: str, rest: str) -> str:
    """The number of shown images and of all, or nothing if all are shown; ``rest`` names the file of the others."""
    return "" if shown == total else f'<p class="limit">Showing {shown:,} of {counted(total, noun)}{rest}</p>'


def safe_json(**tables: Iterable[Any]) -> str:
    """Named lists as JSON that is safe inside a script element, an item a line."""
    text = ",".join(
        f'"{name}":[\n' + ",\n".join(json.dumps(item, separators=(",", ":")) for item in items) + "\n]"
        for name, items in tables.items()
    )
    return ("{" + text + "}").replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def number(value: float | None) -> float | None:
    """A number for the data, ``None`` where it is missing or not finite."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def edges(box: tuple[float, ...] | None) -> list[float] | None:
    """A box for the data, ``None`` for one of an empty mask."""
    return None if box is None or not all(map(math.isfinite, box)) else [round(float(edge), 2) for edge in box]


def base64_text(data: bytes | None) -> str | None:
    """Bytes as base64, ``None`` where they are missing."""
    return None if data is None else base64.b64encode(data).decode("ascii")
