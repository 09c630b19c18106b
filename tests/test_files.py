"""Whole files or none."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realciao import files
from realciao.errors import UserError
from realciao.files import atomic_path, atomic_write, check_folder, remove_abandoned


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary() | st.text(), before=st.none() | st.binary())
def test_what_is_written_is_read_back_whatever_was_there(tmp_path: Path, data: bytes | str, before: bytes | None):
    path = tmp_path / "a.bin"
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    atomic_write(path, data)
    assert path.read_bytes() == (data if isinstance(data, bytes) else bytes(data, "utf-8"))
    assert os.listdir(tmp_path) == ["a.bin"]


def test_text_is_utf8_with_the_line_ends_it_has(tmp_path: Path):
    atomic_write(tmp_path / "a.txt", "é↑\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\xe2\x86\x91\r\n"


def test_missing_folders_are_made(tmp_path: Path):
    atomic_write(tmp_path / "deep" / "er" / "a.txt", "a")
    assert (tmp_path / "deep" / "er" / "a.txt").read_text() == "a"


def test_the_temporary_name_has_the_ending_and_is_hidden(tmp_path: Path):
    with atomic_path(tmp_path / "a.png") as temporary:  # writers tell formats by the ending
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError) as caught:
        atomic_write(path, "new")
    assert str(caught.value) == f"{path}: cannot be written (No space left on device)"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, UserError])
def test_a_block_that_fails_otherwise_is_heard_as_it_is(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error("why")

    with pytest.raises(error, match=r"^why$"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file/a.txt", "file/deep/a.txt", "folder"])
def test_a_path_that_cannot_be_is_one_line(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot be written") as caught:
        atomic_write(tmp_path / name, "a")
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_folder_that_cannot_be_is_refused_and_one_that_can_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="is a file"):
            check_folder(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(UserError, match="no permission"):
        check_folder(tmp_path / "a")


@pytest.mark.skipif(os.name != "posix", reason="the system has no locks on files")
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path):
    others = {".0123456789ab.tmp.d", ".0123456789ab.tmpfile", "0123456789ab.tmp.png", ".a.tmp.png", "a.png"}
    (tmp_path / ".0123456789ab.tmp.d").mkdir()
    for name in others - {".0123456789ab.tmp.d"}:
        (tmp_path / name).touch()
    program = f"""
from realciao.files import atomic_path
with atomic_path({str(tmp_path / "a.png")!r}) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    input()
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    assert writer.stdout is not None
    with writer.stdin, writer.stdout:
        left = writer.stdout.readline().strip()
        remove_abandoned([tmp_path])
        assert set(os.listdir(tmp_path)) == {left} | others
        writer.kill()
        writer.wait()
    remove_abandoned([tmp_path, tmp_path / "missing"])
    assert set(os.listdir(tmp_path)) == others


def test_a_file_taken_for_abandoned_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lock, taken = files._lock, []

    def late(file: Any, wait: bool) -> bool:
        if wait and not taken:
            taken.append(file.name)
            remove_abandoned([tmp_path])
        return lock(file, wait)

    monkeypatch.setattr(files, "_lock", late)
    atomic_write(tmp_path / "a.txt", "all of it")
    assert len(taken) == (os.name == "posix")
    assert (tmp_path / "a.txt").read_text() == "all of it"
    assert os.listdir(tmp_path) == ["a.txt"]
