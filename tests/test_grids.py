"""One table, three ways to show it; texts of the data stay texts in each."""

import html.parser

import pytest

from fairuse_router.grids import (
    MEANINGS,
    WIDTH,
    Column,
    Grid,
    clip,
    escape,
    fill,
    for_spreadsheets,
    numbers,
    shown,
    wrap,
)

NASTY = ["<b>|", "a" * 30, "*x* [y](z)", "", "  two\nlines "]


def grid():
    columns = [Column("group", 12, left=True), *numbers({"rows": 6}), Column("why", left=True)]
    return Grid(columns, [[text, str(i), text] for i, text in enumerate(NASTY)])


def test_plain_text_is_aligned_and_cut_on_the_left_only():
    lines = list(Grid(grid().columns[:2], [[t, "1234567"] for t in NASTY[:2]]).lines())
    assert lines == ["group         rows", "<b>|        1234567", f"{'a' * 10}… 1234567"]
    gap = Grid(["a", Column("b", 3, gap=1)], [["x", "12345"], ["x", "1"]])
    assert list(gap.lines()) == ["a   b", "x 12345", "x   1"]


def test_no_line_ends_in_blanks():
    assert not [line for line in grid().lines() if line != line.rstrip()]


def test_markdown_has_a_row_a_line_and_no_markup_of_the_data():
    head, rules, *rows = grid().to_markdown().splitlines()
    assert (head, rules) == ("| group | rows | why |", "| --- | ---: | --- |")
    assert len(rows) == len(NASTY)
    assert rows[0] == r"| \<b\>\| | 0 | \<b\>\| |"
    assert rows[4] == "| two lines | 4 | two lines |"


def test_html_gives_back_the_texts_and_no_tags_of_the_data():
    tags, texts = [], []
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, attributes: tags.append((tag, *attributes))
    reader.handle_data = texts.append
    reader.feed(grid().to_html("mine", "<i>"))
    assert tags[0] == ("table", ("class", "mine"))
    assert {tag for tag, *_ in tags} == {*("table", "caption", "thead", "tbody", "tr", "th", "td")}
    assert texts == ["<i>", "group", "rows", "why"] + [
        t for i, text in enumerate(NASTY) for t in (text, str(i), text) if t
    ]
    left, known = ("th", ("class", "text")), ("th", ("title", MEANINGS["rows"]))
    assert [tag for tag in tags if len(tag) > 1][1:4] == [left, known, left]


def test_rows_fit_their_head():
    with pytest.raises(ValueError, match="shorter"):
        list(Grid(["a", "b"], [["1"]]).lines())


def test_texts_fit_the_terminal():
    assert clip("x" * WIDTH) == "x" * WIDTH
    assert clip("x" * (WIDTH + 1)) == "x" * (WIDTH - 1) + "…"
    text = "word " * 60
    assert max(map(len, fill(text).splitlines())) <= WIDTH
    assert [line[:3] for line in wrap(text, "- ", "  ")][:2] == ["- w", "  w"]
    assert {line[:3] for line in wrap(text, "  ")} == {"  w"}
    assert wrap("") == []


STEERING = ["\x1b[2J", "\x00", "\x7f", "\x9b31m", "\u202e", "\u2066", "\u2028", "\ufeff", "\ud800"]


@pytest.mark.parametrize("sign", STEERING)
def test_signs_that_steer_are_shown_in_every_text(sign):
    level = f"a{sign}b"
    grid = Grid([Column(level, 30, left=True), "n"], [[level, level]])
    texts = [*grid.lines(), grid.to_markdown(), grid.to_html("", level), *wrap(level), clip(level)]
    for text in texts:
        assert sign[0] not in text
        assert "\\" in text or sign.isspace()  # which Markdown folds to a blank
    assert shown(level) == f"a{sign.encode('unicode_escape').decode()}b" or sign == "\ud800"


def test_words_of_any_language_stay_as_they_are():
    for text in ("größe", "می‌خواهم", "क्‍ष", "男 女", "a b", "👩‍⚕️"):
        assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~~F~~", r"\~\~F\~\~"),
        ("~~~", r"\~\~\~"),
        ("http://x.org", r"http\://x.org"),
        ("HTTPS://x.org", r"HTTPS\://x.org"),
        ("see www.x.org", r"see www\.x.org"),
        ("me@x.org", r"me\@x.org"),
        ("$a$ & b", r"\$a\$ \& b"),
        ("- a", r"\- a"),
        ("1. a", r"1\. a"),
        ("---", r"\---"),
        ("<b>", r"\<b\>"),
        ("26.0%", "26.0%"),
        ("-1.2%", "-1.2%"),
    ],
)
def test_markdown_shows_texts_as_they_are(text, expected):
    assert escape(text) == expected


@pytest.mark.parametrize(
    "cell", ["=1+1", "+a", "-a", "@x", "\tx", "\rx", "=1", "-1+cmd|' /C calc'!A0"]
)
def test_cells_that_begin_a_formula_are_marked(cell):
    assert for_spreadsheets(cell) == f"'{cell}"


def test_numbers_and_words_are_no_formulas():
    for cell in ("-1.5", "+1", "1e3", "F", "", "-inf", "a=b"):
        assert for_spreadsheets(cell) == cell
