import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from exit_status import exit_status
from PIL import Image

import realciao
from realciao.commands import infer, infer_journal, infer_run, progress_line
from realciao.images.reading import read_image, write_image
from realciao.images.writing import Bands
from realciao.upscaling import photo_file as photo_upscaling


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    encoder = {"type": "EDSREncoder", "num_feat": 4, "num_block": 1}
    decoder = {"type": "CiaoSRDecoder", "hidden": [4], "non_local_scales": []}
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    realciao.save_weights(realciao.build_network({"type": "CiaoSR", "encoder": encoder, "decoder": decoder}), path)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree of four images: colour, grey, 16 bits, JPEG in capitals."""
    rng = np.random.default_rng(0)
    write_image(tmp_path / "in" / "a.png", rng.integers(0, 256, (9, 14, 3)).astype(np.uint8))
    write_image(tmp_path / "in" / "sub" / "b.png", rng.integers(0, 256, (7, 5)).astype(np.uint8))
    write_image(tmp_path / "in" / "sub" / "c.tif", rng.integers(0, 65536, (6, 6, 3)).astype(np.uint16))
    write_image(tmp_path / "in" / "D.JPG", rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
    return tmp_path / "in"


def _run(*arguments: object) -> int:
    return exit_status(infer.main, *arguments, "--device", "cpu")


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_mirrored_at_the_rounded_sizes_and_the_same_kinds(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2.37, "-m", weights) == 0
    assert set(_tree(tmp_path / "out")) == set(_tree(photos))
    for name in _tree(photos):
        before, after = read_image(photos / name), read_image(tmp_path / "out" / name)
        assert after.shape == (*(round(n * 2.37) for n in before.shape[:2]), *before.shape[2:])
        assert after.dtype == before.dtype
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"4 images written to {tmp_path / 'out'}, ")
    assert last.endswith("s per output megapixel")


def test_the_files_hold_what_the_upscaler_returns(photos: Path, weights: str, tmp_path: Path) -> None:
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "--outscale", 1.5, "-m", weights, "-t", 4) == 0
    expected = realciao.Upscaler.from_file(weights, "cpu", tile_px=4).upscale(read_image(photos / "a.png"), 1.5)
    assert np.array_equal(read_image(tmp_path / "out" / "a.png"), expected)


@pytest.mark.parametrize(
    ("options", "size"),
    [((), (36, 56)), (("--size", "31x20"), (20, 31)), (("--long_side", "43"), (28, 43)), (("-s", "1"), (9, 14))],
)
def test_the_size_can_be_asked_for_in_three_ways(
    photos: Path, weights: str, tmp_path: Path, options: tuple[str, ...], size: tuple[int, int]
) -> None:
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "-m", weights, *options) == 0
    assert read_image(tmp_path / "out" / "a.png").shape[:2] == size


def test_suffix_and_extension_are_added_only_when_asked(photos: Path, weights: str, tmp_path: Path) -> None:
    assert _run("-i", photos, "-o", tmp_path, "-s", 1, "-m", weights, "--suffix", "_x1", "--ext", "webp") == 0
    assert {"a_x1.webp", "sub/b_x1.webp", "sub/c_x1.webp", "D_x1.webp"} <= set(_tree(tmp_path))


def test_what_exists_is_replaced_only_when_asked(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 1, "-m", weights) == 0
    before = _tree(tmp_path / "out")
    capsys.readouterr()
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights) == 2
    assert "exists (and 3 more); give --overwrite" in capsys.readouterr().err
    assert _tree(tmp_path / "out") == before
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights, "--overwrite") == 0
    assert _tree(tmp_path / "out") != before


@pytest.mark.parametrize("flags", [(), ("--overwrite",)])
def test_the_input_folder_as_output_is_refused_and_left_alone(
    photos: Path, weights: str, flags: tuple[str, ...]
) -> None:
    before = _tree(photos)
    assert _run("-i", photos, "-o", photos, "-s", 2, "-m", weights, *flags) == 2
    assert _tree(photos) == before


def test_results_below_the_photos_are_not_taken_for_photos(photos: Path, weights: str) -> None:
    for scale in (1, 2):
        assert _run("-i", photos, "-o", photos / "results", "-s", scale, "-m", weights, "--overwrite") == 0
    assert set(_tree(photos / "results")) == {"a.png", "sub/b.png", "sub/c.tif", "D.JPG"}


def test_two_inputs_with_one_output_are_refused_before_work_starts(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(photos / "a.jpg", read_image(photos / "a.png"))
    assert _run("-i", photos, "-o", tmp_path / "out", "-m", weights, "--ext", "png") == 2
    error = capsys.readouterr().err
    assert "a.jpg" in error
    assert "a.png" in error
    assert not (tmp_path / "out").exists()


def test_a_bad_file_is_reported_and_the_rest_goes_on(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "empty.png").touch()
    (photos / "text.png").write_text("no image")
    cut = (photos / "a.png").read_bytes()
    (photos / "cut.png").write_bytes(cut[: len(cut) // 2])
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights) == 1
    output = capsys.readouterr()
    assert set(_tree(tmp_path / "out")) == {"a.png", "sub/b.png", "sub/c.tif", "D.JPG"}
    assert len(output.err.splitlines()) == 3
    for name in ("empty.png", "text.png", "cut.png"):
        assert f"failed: {photos / name}: " in output.err
    assert output.out.splitlines()[-1].endswith("; 3 failed")


def test_a_result_that_cannot_be_written_is_reported_and_the_rest_goes_on(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").touch()
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights) == 1
    assert [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"failed: {tmp_path / 'out' / 'sub' / name}: cannot be written" for name in ("b.png", "c.tif")
    ]
    assert set(_tree(tmp_path / "out")) == {"a.png", "D.JPG", "sub"}


def test_a_truncated_file_is_written_only_when_allowed(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = photos / "D.JPG"
    path.write_bytes(path.read_bytes()[:-40])
    assert _run("-i", path, "-o", tmp_path / "out", "-s", 2, "-m", weights) == 1
    assert not _tree(tmp_path / "out")
    assert "take what there is with --allow_truncated" in capsys.readouterr().err
    assert _run("-i", path, "-o", tmp_path / "out", "-s", 2, "-m", weights, "--allow_truncated") == 0
    assert read_image(tmp_path / "out" / "D.JPG").shape == (16, 16, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        ("-s", "0"),
        ("-s", "-2"),
        ("-s", "nan"),
        ("-s", "inf"),
        ("-s", "two"),
        ("-s", "1e5"),
        ("--size", "12"),
        ("--size", "0x9"),
        ("--size", "-3x9"),
        ("--size", "99999x99999"),
        ("--long_side", "0"),
        ("-s", "2", "--size", "9x9"),
        ("-t", "-1"),
        ("--device", "abacus"),
        ("-m", "missing.safetensors"),
        ("-i", "missing"),
        ("--suffix", "../x"),
        ("-o", ""),
        ("-i", "no\nsuch"),
        ("-i", "no\x1b[31msuch"),
        ("--no_such_option",),
    ],
)
def test_a_wrong_option_is_one_line_and_status_two(
    photos: Path, weights: str, tmp_path: Path, wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        infer.main(["-i", str(photos / "a.png"), "-o", str(tmp_path / "out"), "-m", weights, *wrong])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert error[:-1].isprintable()
    assert not (tmp_path / "out").exists()


def test_without_weights_the_one_line_says_how_to_make_some(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if (Path(realciao.__file__).parent / "weights" / "real.safetensors").is_file():
        pytest.skip("weights come with this version")
    assert _run("-i", photos, "-o", tmp_path / "out") == 2
    assert "options/quickstart.yml" in capsys.readouterr().err


def test_a_long_run_says_how_far_it_is_in_plain_lines_off_a_terminal(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_line, "REPORT_EVERY_S", 0)
    monkeypatch.setattr("sys.stderr", stream := io.StringIO())
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights) == 0
    lines = stream.getvalue().splitlines()
    pixels = [4 * 9 * 14, 4 * 7 * 5, 4 * 6 * 6, 4 * 8 * 8]  # 0.00104 Mpx in all
    assert all(line.split()[0].endswith(f"/{sum(pixels) / 1e6:.3g}") for line in lines)
    assert [line.split()[2] for line in lines] == ["D.JPG", "a.png", "b.png", "c.tif"]
    assert lines[-1].endswith("Mpx c.tif (4 of 4), 0:00:00 left")
    stream.truncate(0)
    assert _run("-i", photos / "a.png", "-o", tmp_path / "2", "-s", 5, "--max_step", 2, "-m", weights) == 0
    shares = [float(line.split("/")[0].strip("\0")) for line in stream.getvalue().splitlines()]
    assert shares == sorted(shares)
    assert len(shares) == 3  # steps
    assert shares[-1] == pytest.approx(25 * 9 * 14 / 1e6, rel=0.01)
    assert "\r" not in stream.getvalue()


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (("-s", "2x1.5"), (14, 28)),  # along x and y
        (("--width", "30"), (19, 30)),
        (("--height", "18"), (18, 28)),
        (("--short_side", "27"), (27, 42)),
        (("--mp", "0.002016"), (36, 56)),
        (("-s", "2", "--roi", "3,2,7,4"), (8, 14)),
    ],
)
def test_more_ways_to_ask_for_a_size(
    photos: Path, weights: str, tmp_path: Path, options: tuple[str, ...], size: tuple[int, int]
) -> None:
    assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "-m", weights, *options) == 0
    assert read_image(tmp_path / "out" / "a.png").shape[:2] == size


def test_json_is_one_object_an_image_and_nothing_else(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights, "--json", "--ext", "jpg") == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(Path(row["input"]).name, row["status"]) for row in rows] == [
        ("D.JPG", "done"), ("a.png", "done"), ("broken.png", "failed"), ("b.png", "done"), ("c.tif", "done"),
    ]  # fmt: skip
    assert rows[1]["input_size"] == [14, 9]
    assert rows[1]["output_size"] == [28, 18]
    assert rows[1]["peak_memory_mib"] > 10
    assert rows[1]["device"] == "cpu"
    assert "broken.png" in rows[2]["error"]
    assert rows[4]["warnings"] == [".jpg does not hold uint16: written with fewer levels"]


def test_values_that_are_cut_off_are_said(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(-0.5, 3, 60, dtype=np.float32).reshape(4, 5, 3), photometric="rgb")
    assert _run("-i", tmp_path / "a.tif", "-o", tmp_path / "out", "-s", 1, "-m", weights, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["warnings"] == ["values from -0.5 to 3 are cut off at 0 and 1"]
    assert said.err.startswith(f"note: {tmp_path / 'a.tif'}: values from -0.5 to 3 ")


def test_resume_leaves_out_what_is_done_and_does_the_rest(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("-i", photos, "-o", tmp_path / "out", "-s", 2, "-m", weights)
    write = photo_upscaling.write_photo

    def stop(path: Path, *rest: object, **options: object) -> None:
        if path.name == "b.png":
            raise KeyboardInterrupt
        write(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(photo_upscaling, "write_photo", stop)
    assert _run(*command) == 130
    monkeypatch.setattr(photo_upscaling, "write_photo", write)
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("a.png", "D.JPG")}
    assert _run(*command) == 2  # what is there is not replaced unasked
    (tmp_path / "out.journal.jsonl").open("a").write('{"result": "sub/b')  # as a kill may leave it
    assert _run(*command, "--resume") == 0
    assert "2 images written" in capsys.readouterr().out
    assert before == {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before}
    assert len(_tree(tmp_path / "out")) == 4
    assert _run(*command, "--resume") == 0
    assert "0 images written" in capsys.readouterr().out
    # another request, or another photo, is no done work
    assert _run(*command[:5], 3, *command[6:], "--resume") == 0
    assert read_image(tmp_path / "out" / "a.png").shape[:2] == (27, 42)
    write_image(photos / "a.png", np.zeros((5, 5, 3), np.uint8))
    assert _run(*command[:5], 3, *command[6:], "--resume") == 0
    assert read_image(tmp_path / "out" / "a.png").shape[:2] == (15, 15)


def test_the_journal_lies_beside_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    for folder, name in ((tmp_path / "out" / "..", f"{tmp_path.name}.journal.jsonl"), (Path("/"), ".journal.jsonl")):
        assert infer_run.Journal(folder, {}, False).path == folder.resolve().parent / name


def test_resume_makes_anew_what_a_kill_cut_off_between_the_file_and_the_journal(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("-i", photos / "a.png", "-o", tmp_path / "out", "-s", 2, "-m", weights, "--resume")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(infer_run.Journal, "add", stop)
        assert _run(*command) == 130
    assert (tmp_path / "out" / "a.png").is_file()
    left = tmp_path / "out" / ".0123456789ab.tmp.png"
    left.write_bytes(b"half of it")
    assert _run(*command[:-1]) == 2
    assert left.exists()
    assert _run(*command) == 0
    assert set(_tree(tmp_path / "out")) == {"a.png"}
    capsys.readouterr()
    assert _run(*command) == 0
    assert "0 images written" in capsys.readouterr().out
    (tmp_path / "out" / "D.JPG").write_bytes(b"not ours")
    assert _run("-i", photos / "D.JPG", *command[2:]) == 2


def test_a_journal_of_rubbish_is_no_reason_to_fail(photos: Path, weights: str, tmp_path: Path) -> None:
    command = ("-i", photos / "a.png", "-o", tmp_path / "out", "-s", 1, "-m", weights, "--resume")
    rubbish = b"[" * 99_999 + b'\n\xff\n7\n{"result": [1]}\n{"result": "a.png"}\n'
    (tmp_path / "out.journal.jsonl").write_bytes(rubbish)
    assert _run(*command) == 0
    assert set(_tree(tmp_path / "out")) == {"a.png"}


def test_a_journal_that_cannot_be_written_is_said_once(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(infer_journal, "open", refuse, raising=False)
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 1, "-m", weights) == 0
    assert len(_tree(tmp_path / "out")) == 4
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"note: {tmp_path / 'out.journal.jsonl'}: Permission denied, so --resume ")


def test_what_is_there_by_the_time_it_is_made_is_not_replaced_unasked(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(infer, "refuse_existing", lambda targets: None)  # as if nothing had been there at the start
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"of another run")
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 1, "-m", weights) == 1
    assert _tree(tmp_path / "out")["a.png"] == b"of another run"
    assert len(_tree(tmp_path / "out")) == 4
    assert "a.png exists" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="the system has no such signals")
def test_a_run_that_is_told_to_end_leaves_no_temporary_file(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write, before = photo_upscaling.write_photo, signal.getsignal(signal.SIGTERM)

    def stop(path: Path, bands: Bands, *rest: object, **options: object) -> None:
        def rows() -> Iterator[np.ndarray]:
            yield next(bands.rows)
            assert list(path.parent.iterdir())
            signal.raise_signal(signal.SIGTERM)

        write(path, bands._replace(rows=rows()), *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(photo_upscaling, "write_photo", stop)
    assert _run("-i", photos, "-o", tmp_path / "out", "-s", 1, "-m", weights) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "ended by SIGTERM; --resume goes on\n"
    assert not list((tmp_path / "out").iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_weights_are_known_by_their_file_whatever_names_them() -> None:
    parse = infer.build_parser().parse_args
    assert infer._what_matters(parse(["-i", "x"])) == infer._what_matters(parse(["-i", "x", "-m", "real"]))
    assert infer._what_matters(parse(["-i", "x"])) != infer._what_matters(parse(["-i", "x", "-m", "classical"]))


def test_patterns_and_several_inputs(photos: Path, weights: str, tmp_path: Path) -> None:
    assert _run("-i", f"{photos}/*.png", photos / "sub", "-o", tmp_path / "out", "-s", 1, "-m", weights) == 0
    assert set(_tree(tmp_path / "out")) == {"a.png", "b.png", "c.tif"}
    assert _run("-i", photos / "a.png", "-i", photos / "sub", "-o", tmp_path / "2", "-s", 1, "-m", weights) == 0
    assert set(_tree(tmp_path / "2")) == {"a.png", "b.png", "c.tif"}
    for wrong in (f"{photos}/*.gif", ""):
        assert _run("-i", wrong, "-o", tmp_path / "out", "-m", weights) == 2


def test_several_processes_share_a_folder(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert _run("-i", photos, "-o", tmp_path / "out", "-s", 1, "-m", weights, "--resume") == 0
        seen.append(set(_tree(tmp_path / "out")))
    assert len(seen[0]) == 2
    assert seen[1] == set(_tree(photos))


def test_metadata_goes_along(photos: Path, weights: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "Ours", 6
    Image.new("RGB", (12, 8)).save(photos / "turned.jpg", exif=exif, dpi=(240, 240))
    assert _run("-i", photos / "turned.jpg", "-o", tmp_path / "out", "-s", 2, "-m", weights) == 0
    with Image.open(tmp_path / "out" / "turned.jpg") as opened:
        assert opened.size == (16, 24)
        assert (opened.getexif()[271], opened.getexif()[274]) == ("Ours", 1)
        assert opened.info["dpi"] == (240, 240)


@pytest.mark.parametrize(
    "options",
    [("-s", "2", "--width", "9"), ("-s", "x"), ("-s", "0x2"), ("--roi", "1,2,3"), ("--mp", "0"), ("--quality", "0"),
     ("-dn", "0.5"), ("--back_projection", "-1"), ("--width", "-3")],
)  # fmt: skip
def test_a_request_that_cannot_be_is_one_line_and_nothing_is_written(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert _run("-i", photos, "-o", tmp_path / "out", "-m", weights, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_name_over_two_lines_is_reported_on_one(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "two\nlines.png").write_bytes(b"junk")
    (tmp_path / "in" / "b.png").write_bytes(b"junk")
    assert _run("-i", tmp_path / "in", "-o", tmp_path / "out", "-m", weights) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("failed: ") for line in lines)
    assert "two\\nlines.png" in lines[1]


def test_odd_photos_and_odd_names_give_their_results_or_one_line(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, rng = tmp_path / "in", np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    (folder / "folder.png").mkdir(parents=True)
    photo.save(folder / "folder.png" / "in it.png")
    photo.resize((1, 400)).save(folder / "strip.png")
    photo.resize((1, 1)).save(folder / "pixel.png")
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.convert("CMYK").save(folder / "cmyk.tif")
    photo.save(folder / "progressive.jpg", progressive=True)
    photo.convert("1").save(folder / "bit.png")
    photo.convert("LAB").save(folder / "lab.tif")
    Image.fromarray(np.full((6, 9, 4), (9, 200, 30, 0), np.uint8)).save(folder / "hidden.png")
    for name in ("moving.webp", "moving.png"):
        photo.save(folder / name, save_all=True, append_images=[photo.rotate(180)])
    good = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()}
    for name in ("-s.png", " two  spaces .png", "😀 größe.png", "%s{}'\".png", "\udcff\udcfe.png", "n" * 251 + ".png"):
        try:
            photo.save(folder / name)
            good.add(name)
        except OSError:  # some systems know no such names
            continue
    photo.save(folder / "gif.png", format="GIF", save_all=True, append_images=[photo])
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    data = (folder / "progressive.jpg").read_bytes()
    for tenth in range(10):
        (folder / f"cut{tenth}.jpg").write_bytes(data[: len(data) * tenth // 10])
    assert _run("-i", folder, "-o", tmp_path / "out", "-s", "1.5", "-m", weights) == 1
    assert set(_tree(tmp_path / "out")) == good
    for name in good:
        before = read_image(folder / name)
        assert read_image(tmp_path / "out" / name).shape[:2] == tuple(max(1, round(1.5 * n)) for n in before.shape[:2])
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if line.startswith(f"failed: {folder}")]) == 13
    assert all(line.startswith(("failed: ", "note: ")) or " Mpx " in line for line in said)


@pytest.mark.skipif(os.name != "posix", reason="the system has no such limit")
@pytest.mark.parametrize("ext", ["png", "tif", "bmp"])
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], ext: str
) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        assert _run("-i", photos / "a.png", "-o", tmp_path / "out", "-s", "2", "-m", weights, "--ext", ext) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err == f"failed: {tmp_path / 'out' / f'a.{ext}'}: cannot be written (File too large)\n"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("rank", ["x", "2", "-1"])
def test_a_wrong_rank_is_one_line(
    photos: Path, weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert _run("-i", photos, "-o", photos / "out", "-m", weights) == 2
    assert "RANK" in capsys.readouterr().err
