"""The one line that a person sees."""

from dogsgan.errors import DogsganError


def test_a_message_is_one_line() -> None:
    assert str(DogsganError("no such\n   file:\tx")) == "no such file: x"


def test_a_files_name_cannot_steer_the_terminal() -> None:
    text = str(DogsganError("cannot read a\x1b[2J\u202e\udcff.jpg"))
    assert text == "cannot read a\\x1b[2J\\u202e\\udcff.jpg"
    text.encode()


def test_names_in_any_script_stay_as_they_are() -> None:
    assert str(DogsganError("cannot read собака 犬 é.jpg")) == "cannot read собака 犬 é.jpg"


def test_a_long_quotation_loses_its_middle_and_not_the_remedy() -> None:
    text = str(DogsganError(f"set.json says {'9' * 5000}: prepare it again"))
    assert len(text) < 1300
    assert text.startswith("set.json says 999")
    assert text.endswith("999: prepare it again")
