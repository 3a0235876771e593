"""A page as a browser's parser sees it, before its script runs."""

import html.parser
import json
import re


class Page(html.parser.HTMLParser):
    """A page's elements, its text outside of scripts and styles, its tables' rows, and its data."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open, self._in_cell = "", False
        self.feed(text)
        self.close()
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._open = ""
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text += data
            if self._in_cell:
                self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        (row,) = [row for row in self.rows if row and row[0] == first]
        return row

    def tile(self, name: str) -> str:
        return re.search(rf"\b{name}\s*([\d,]+)", self.text)[1]
