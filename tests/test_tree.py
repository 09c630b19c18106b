"""The tests lie as what they test lies."""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
OF_THE_WHOLE = {"test_docs", "test_imports", "test_tree"}


@pytest.mark.parametrize("file", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_file_lies_as_the_room_or_the_module_that_it_judges(file: Path) -> None:
    room = file.relative_to(TESTS).parent
    if room == Path() and file.stem not in OF_THE_WHOLE:
        assert (ROOT / "realciao" / f"{file.stem.removeprefix('test_')}.py").is_file()
    assert (ROOT / "realciao" / room).is_dir() or (ROOT / room / "__init__.py").is_file()


def test_no_two_test_files_have_one_name() -> None:
    names = [file.name for file in TESTS.rglob("test_*.py")]
    assert len(names) == len(set(names))  # pytest would take one for the other
