"""Text of others says what it says, on a terminal and in Markdown, and does nothing else."""

import json

import pytest
from markdown_it import MarkdownIt

from archbench.display import (
    Markdown,
    fenced,
    folded,
    json_escape,
    json_text,
    markdown_cell,
    markdown_code,
    markdown_heading,
    markdown_line,
    markdown_list,
    markdown_text,
    terminal_text,
)

EVIL = [
    "# heading",
    "[click](http://evil.example)",
    "![image](http://evil.example/x.png)",
    "<details><summary>more</summary>",
    "<script>alert(1)</script>",
    "a | b",
    "**bold** *and* _it_ ~~off~~",
    "1. list",
    "- list",
    "+ list",
    "---",
    "===",
    "> quote",
    "`code`",
    "&lt;b&gt; &#35;",
    "\\[x](y)",
    "[x]: http://evil.example",
    "https://evil.example www.evil.example",
    "$x^2$",
    "]( ![",
]
"""Names that are markup."""
_STRUCTURE = ("heading", "link", "image", "html", "list", "quote", "em", "strong", "hr", "_fence", "definition")


def rendered(markdown: str) -> tuple[str, set[str]]:
    """What a reader sees of `markdown`, and which kinds of markup it is made of."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
    inner = [child for token in tokens for child in (token.children or ())]
    kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in (*tokens, *inner)}
    return "".join(child.content for child in inner), kinds


@pytest.mark.parametrize("name", EVIL)
def test_a_name_shows_whole_and_is_no_markup(name: str) -> None:
    shown, kinds = rendered(markdown_text(name))
    assert shown == " ".join(name.split())
    assert kinds <= {"paragraph", "inline", "text", "text_special"}


@pytest.mark.parametrize("name", EVIL)
def test_a_line_with_a_name_is_a_line(name: str) -> None:
    shown, kinds = rendered(markdown_line(f"{name}: `too_few_sizes`, alpha 0.1 [0.05, 0.15]"))
    assert shown.replace("`", "") == f"{' '.join(name.split())}: too_few_sizes, alpha 0.1 [0.05, 0.15]".replace("`", "")
    assert kinds <= {"paragraph", "inline", "text", "text_special", "code_inline"}


@pytest.mark.parametrize("name", EVIL)
def test_a_cell_with_a_name_is_one_cell(name: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {markdown_cell(name)} | 0.1 [0, 1] |"
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(table)
    assert sum(token.type == "td_open" for token in tokens) == 2
    assert not {"link", "image", "html_inline", "em"} & rendered(table)[1]


def test_plain_names_and_figures_come_out_as_they_are() -> None:
    for text in ("gated_deltanet", "gpt-2", "Llama 3.1 (8B)", "w/o RoPE"):
        assert markdown_text(text) == text
    for text in ("2.103 [1.957, 2.189]", "-4.8 % **!**", "`not_identifiable`", "alpha_N 0.04 [0, 0.1]", "-"):
        assert markdown_cell(text) == text


def test_headings_lists_folds_and_fences_hold_what_they_are_given() -> None:
    assert rendered(markdown_heading(2, "# a"))[0] == "# a"
    assert rendered(markdown_list(["# a", "b\n# c"])) == ("# ab # c", rendered("- a\n- b")[1])
    assert folded("<b>a</b>", "text").startswith("<details><summary>&lt;b&gt;a&lt;/b&gt;</summary>\n\n")
    assert [token.content for token in MarkdownIt().parse(fenced("a\n```\n# b"))] == ["a\n```\n# b\n"]
    assert markdown_code("gpt2") == "`gpt2`"
    assert rendered(markdown_code("a`<b>"))[0] == "a`<b>"
    assert markdown_cell(Markdown("**a | b**")) == "**a \\| b**"


def test_a_terminal_obeys_no_name() -> None:
    assert terminal_text("a\x1b]0;title\x07b\x1b[2J\x9b2J\x7f\r") == r"a\x1b]0;title\x07b\x1b[2J\x9b2J\x7f\r"
    assert terminal_text("evil\u202etxt.exe\ufeff") == r"evil\u202etxt.exe\ufeff"
    assert terminal_text("two\nlines\tand α, 模型, می‌خواهم, 👩‍🔬") == "two\nlines\tand α, 模型, می‌خواهم, 👩‍🔬"
    assert terminal_text("half \ud800") == r"half \ud800"


def test_json_means_the_same_without_power_over_a_terminal() -> None:
    value = {"a": "\x1b[2J \x9b \u202e é 😀"}
    text = json_text(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert json.loads(f'"{json_escape("é😀")}"') == "é😀"
