"""The page on label noise is what its command writes."""

from tools.label_noise import PAGE, page


def test_the_page_is_what_the_command_writes():
    assert PAGE.read_text("utf-8") == page(), "run python tools/label_noise.py"


def test_no_line_of_it_is_too_long_but_tables():
    prose = [each for each in page().splitlines() if not each.startswith("|")]
    assert [each for each in prose if len(each) > 100] == []
