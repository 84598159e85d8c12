"""The links of the project's pages, and those of them that lead nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from tests.style.rules import Project, Source

_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# What GitHub leaves out of an anchor.
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def broken_links(project: Project, pictures: Iterable[str] = ()) -> Iterator[str]:
    """Give each link from a page to a file, folder or heading that is not in the project."""
    pages = {source.path: source for source in project}
    places = {*pages, *pictures} | {
        str(folder) for path in pages for folder in PurePosixPath(path).parents
    }
    for page in project:
        if page.path.endswith(".md"):
            for link in _relative_links(page):
                path, _, place = link.partition("#")
                there = normpath(f"{PurePosixPath(page.path).parent}/{path}") if path else page.path
                if there not in places or (place and place not in _anchors(pages.get(there))):
                    yield f"{page.path}: {link}"


def anchor(heading: str) -> str:
    """Return what GitHub makes of a heading; its second occurrence on a page is not covered."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")


def _relative_links(page: Source) -> Iterator[str]:
    for link in _LINK.findall(_FENCED.sub("", page.text)):
        if "://" not in link:
            yield link


def _anchors(page: Source | None) -> set[str]:
    return {anchor(one) for one in _HEADING.findall(_FENCED.sub("", page.text))} if page else set()
