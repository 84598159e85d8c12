"""A link of our pages leads somewhere."""

from __future__ import annotations

import re

import pytest

from tests.docs.links import anchor, broken_links
from tests.docs.readme import READMES
from tests.style.rules import Source, pictures, project

BOOK = "# Book\n\n## In SQL, from any `language`\n\n```sh\n# no heading\n```\n"


def test_every_relative_link_and_anchor_of_our_pages_resolves() -> None:
    assert list(broken_links(project(), pictures())) == []


def test_the_books_contents_name_each_chapter_in_the_order_of_the_chapters() -> None:
    book = READMES[1].read_text(encoding="utf-8")
    contents, _, _ = book.partition("\n## ")
    chapters = re.findall(r"^### (.+)$", book, re.MULTILINE)
    assert re.findall(r"^\| \[[^]]+\]\(#(.+?)\)", contents, re.MULTILINE) == [
        anchor(chapter) for chapter in chapters
    ]


@pytest.mark.parametrize(
    "link",
    [
        "library/README.md",
        "library/README.md#in-sql-from-any-language",
        "library",
        "#front-page",
        "https://example.org/#nowhere",
    ],
)
def test_what_is_there_is_found(link: str) -> None:
    assert not broken(link)


@pytest.mark.parametrize(
    "link",
    [
        "README.txt",
        "../README.md",
        "#in-sql-from-any-language",
        "library/README.md#no-heading",
        "library#book",
    ],
)
def test_what_is_not_there_is_named(link: str) -> None:
    assert broken(link) == [f"README.md: {link}"]


def test_a_link_is_followed_from_the_folder_of_its_page() -> None:
    text = "# Book\n\n[up](../README.md#front-page), [down](README.md#front-page)\n"
    pages = [front_page(), Source("library/README.md", text)]
    assert list(broken_links(pages)) == ["library/README.md: README.md#front-page"]


def test_what_only_looks_like_a_link_in_an_example_is_none() -> None:
    text = "# Front page\n\n```python\nactions[name](argument)\n```\n"
    assert list(broken_links([Source("README.md", text)])) == []


def front_page(link: str = "#front-page") -> Source:
    return Source("README.md", f"# Front page\n\nSee [this]({link}).\n")


def broken(link: str) -> list[str]:
    return list(broken_links([front_page(link), Source("library/README.md", BOOK)]))
