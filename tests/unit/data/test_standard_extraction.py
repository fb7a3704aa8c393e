"""What of an archive the standard text takes."""

import hashlib
import json
from pathlib import Path

from made_archives import PROSE, packed, sentences

from archbench.builtins.text.standard.extraction import extract, file_of, paragraphs
from archbench.builtins.text.standard.store import stored_form


def test_documentation_is_taken_and_what_is_about_the_package_is_not(tmp_path: Path) -> None:
    text = sentences("it", 4)
    files = {
        "docs/guide.txt": text.replace("it", "guide"),
        "docs/guide.rst": text.replace("it", "handbook"),
        "README.md": text.replace("it", "readme"),
        "src/notes.txt": text.replace("it", "notes"),
        "docs/requirements.txt": text.replace("it", "needs"),
        "LICENSE.rst": text.replace("it", "licence"),
        "tests/test.rst": text.replace("it", "tests"),
        "package.egg-info/about.rst": text.replace("it", "egg"),
        "docs/short.rst": "Too short for a document by itself, though it is prose.\n",
        "docs/latin.rst": (text + "é").encode("latin-1"),
    }
    documents = extract(packed(tmp_path, "one", files), "one", None)
    assert [document.id for document in documents] == ["one/README.md", "one/docs/guide.rst", "one/docs/guide.txt"]


def test_a_paragraph_stands_once_whatever_its_digits_signs_and_spaces(tmp_path: Path) -> None:
    again = "    The value of 31 is, as everybody KNOWS, the same;\n    as before.\n\n"
    first = "The value of 25 is (as everybody knows) the same as before.\n\n"
    files = {"a.rst": sentences("a", 4) + first, "b.rst": again + sentences("b", 4)}
    a, b = extract(packed(tmp_path, "one", files), "one", None)
    assert "25" in a.text
    assert "31" not in b.text
    assert b.text.count("Whoever") == 4


def test_tables_and_output_are_no_prose_and_headings_may_stand_often(tmp_path: Path) -> None:
    table = "0.11 0.22 0.33 0.44\n0.55 0.66 0.77 x\n\n"
    heading = "Returns\n-------\n\n"
    files = {"a.rst": heading + table + sentences("a", 4), "b.rst": heading + sentences("b", 4)}
    a, b = extract(packed(tmp_path, "one", files), "one", None)
    assert "0.11" not in a.text
    assert a.text.startswith("Returns\n-------\n\nWhoever")
    assert b.text.startswith("Returns\n-------\n\nWhoever")


def test_docstrings_are_taken_and_other_strings_are_not() -> None:
    source = b'''\
r"""First \\d.

    Deeper.
"""
x = """not a docstring"""  # """nor this"""
y = "\\"" + '"""'


def f(a="""nor this"""):
    \'\'\'On one line.\'\'\'
    return f(
        """Begins a line, hence taken, like documentation that is attached by a call."""
    )
'''
    assert list(paragraphs("a.py", source)) == [
        b"First \\d.",
        b"Deeper.",
        b"On one line.",
        b"Begins a line, hence taken, like documentation that is attached by a call.",
    ]


def test_descriptions_of_interfaces_are_taken_without_their_markup() -> None:
    content = {
        "documentation": "<p>The <b>name</b> of a thing &lt;here&gt; that is long enough to be taken.</p><p>Short.</p>",
        "shapes": [{"description": "A second one, which is long enough as well,\n   to be taken as prose.", "type": 1}],
        "name": "A string under another key, which is not taken although it would be long enough.",
    }
    assert list(paragraphs("service-2.json", json.dumps(content).encode())) == [
        b"The name of a thing <here> that is long enough to be taken.",
        b"A second one, which is long enough as well, to be taken as prose.",
    ]
    assert list(paragraphs("service-2.json", b"{")) == []


def test_a_long_file_becomes_several_documents_of_one_side(tmp_path: Path) -> None:
    words = [f"{a}{b}{c}" for a in "bcdfgh" for b in "aeiou" for c in "klmnprst"]
    text = "".join(PROSE.format(one, f"{one} and {other}") for one in words[:40] for other in words[:20])
    documents = extract(packed(tmp_path, "one", {"long.rst": text}), "one", None)
    assert [document.id for document in documents] == ["one/long.rst", "one/long.rst#2"]
    assert "".join(document.text.rstrip("\n") + "\n\n" for document in documents) == text
    assert {file_of(document.id) for document in documents} == {"one/long.rst"}
    assert max(len(document.text) for document in documents) <= 64 << 10


def test_extraction_ends_at_most_bytes_with_whole_files(tmp_path: Path) -> None:
    files = {f"{name}.rst": sentences(name * 3, 4) for name in "abcdefghijklmnop"}
    path = packed(tmp_path, "one", files)
    whole, part = extract(path, "one", None), extract(path, "one", 1000)
    sizes = [len(document.text.encode()) for document in part]
    assert sum(sizes) >= 1000 > sum(sizes[:-1])
    assert {document.id: document.text for document in part}.items() <= {one.id: one.text for one in whole}.items()
    assert [document.id for document in part] != [document.id for document in whole][: len(part)]


def test_the_text_of_an_archive_is_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    unusual = "Ein Absatz über Größe, İstanbul and ﬁne spaces\u2003between\u00a0words, with enough letters in it.\n\n"
    source = f'"""{unusual}\n\tTabbed line of documentation, which is long enough.\n"""\r\n'
    files = {"a.rst": "ÄÖÜ: " + unusual + sentences("a", 4), "b.py": source + f'"""{sentences("b", 4)}"""\n'}
    stored = stored_form(extract(packed(tmp_path, "one", files), "one", None))
    assert hashlib.sha256(stored).hexdigest() == "ba4b5a59dd2f9c4e896443cca1f22999aaec0ab71f006e46b2b058db3d80787e"
