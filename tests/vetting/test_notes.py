"""A learner's Markdown in the instructor's page: text, whatever it says. Rendered as nbgrader's feedback and formgrader do."""

from __future__ import annotations

from html.parser import HTMLParser

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from grader.vetting.outputs import make_plain

GIVEN = "## A task\nSee [the guide](https://example.org/guide)."

NOTES = {
    "link": "[x](javascript:alert(1))",
    "link in capitals": "[x](JaVaScRiPt:alert(1))",
    "link with an entity": "[x](java&#115;cript:alert(1))",
    "link with a tab": "[x](<java\tscript:alert(1)>)",
    "link by reference": "[x][y]\n\n[y]: javascript:alert(1) 'title'",
    "link to data": "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "link to a script in Visual Basic": "[x](vbscript:alert(1))",
    "link to another page": "[x](https://example.org)",
    "autolink": "<javascript:alert(1)> and https://example.org",
    "image": '![x](javascript:alert(1)) ![y](https://example.org/pixel.png "seen")',
    "image attached": "![x](attachment:a.svg)",
    "formula": r"$\href{javascript:alert(1)}{x}$ and $$\href{javascript:alert(1)}{y}$$",
    "formula over lines": "\\begin{equation}\n\\href{javascript:alert(1)}{x}\n\\end{equation}",
    "script": "<script>alert(1)</script>",
    "handler": '<img src=x onerror="alert(1)"> <svg/onload=alert(1)> <details open ontoggle=alert(1)>',
    "style": "<style>body{display:none}</style><base href='https://example.org'>",
    "closed fence": "~~~\n[x](javascript:alert(1))\n~~~",
    "longer fence": f"{'~' * 40}\n\n[x](javascript:alert(1))\n\n{'~' * 41}\n[x](javascript:alert(2))",
    "fence of backticks": "```\n[x](javascript:alert(1))\n```\n[x](javascript:alert(1))",
    "other line ends": "\r~~~\r[x](javascript:alert(1))\x0b~~~\x0c[x](javascript:alert(1))\u2028~~~\u2029[x](javascript:alert(1))\x85",
    "end of a block": "</code></pre></div>[x](javascript:alert(1))\n\n<a href=javascript:alert(1)>x</a>",
    "indented": "    code\n\n- [x](javascript:alert(1))\n\n> [x](javascript:alert(1))",
    "nothing": "",
}


class Elements(HTMLParser):
    """What stands in a page: its elements with their attributes, and all text outside of <pre>."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.preformatted, self.loose, self.text = 0, "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        self.preformatted -= tag == "pre"

    def handle_data(self, data: str) -> None:
        self.text += data
        self.loose += "" if self.preformatted else data


def page_of(cell: NotebookNode) -> Elements:
    make_plain(cell, {GIVEN})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    return Elements(page[page.index("<body") :])


@pytest.mark.parametrize("notes", NOTES)
@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_notes_are_shown_as_typed_and_nothing_in_them_works(notes: str, kind: str) -> None:
    cell = (
        nbformat.v4.new_markdown_cell(NOTES[notes])
        if kind == "markdown"
        else nbformat.v4.new_raw_cell(NOTES[notes])
    )
    cell.metadata = NotebookNode(raw_mimetype="text/html", tags=['"><script>alert(1)</script>'])
    cell.attachments = NotebookNode({"a.svg": {"image/svg+xml": "PHN2Zy8+"}})
    page = page_of(cell)
    assert {tag for tag, _ in page.found} <= {"body", "main", "div", "pre", "code", "span"}
    names = {name for _, attributes in page.found for name in attributes}
    assert not {name for name in names if name in {"href", "src", "style"} or name.startswith("on")}
    assert "alert" not in page.loose and "href" not in page.loose  # MathJax looks at text outside of <pre>
    assert "".join(NOTES[notes].split()) in "".join(page.text.split())


def test_the_courses_own_text_stays_as_it_is() -> None:
    page = page_of(nbformat.v4.new_markdown_cell(GIVEN))
    assert ("a", "https://example.org/guide") in [(tag, given.get("href")) for tag, given in page.found]


def test_an_answer_in_the_clothes_of_the_courses_text_is_no_way_out() -> None:
    """Raw cells are never rendered as the course's: a page may take them for HTML."""
    page = page_of(nbformat.v4.new_raw_cell(GIVEN))
    assert "a" not in [tag for tag, _ in page.found]
