"""Tables as text."""

from jaxloc.report.tables import text_table


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_on_the_right():
    assert text_table(["name", "n", "where"], [["a", 5, "x"], ["longer", 1000, "yy"]]).splitlines() == [
        "name       n  where",
        "──────  ────  ─────",
        "a          5  x",
        "longer  1000  yy",
    ]


def test_a_table_without_rows_is_its_head():
    assert text_table(["name", "n"], []).splitlines() == ["name  n", "────  ─"]
