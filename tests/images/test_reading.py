import contextlib
import errno
import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

import realciao.images.reading
from realciao.images.reading import (
    AnyImage,
    ImageError,
    from_float,
    read_image,
    read_rgb,
    read_size,
    to_array,
    to_float,
    to_tensor,
    upscale_bicubic,
    write_image,
)

PHOTO = Path(skimage.__file__).parent / "data" / "chelsea.png"
DEPTHS = {"uint8": np.uint8, "uint16": np.uint16, "float32": np.float32}


def _random(dtype: str, channels: int, size: tuple[int, int] = (19, 31)) -> AnyImage:
    rng = np.random.default_rng(channels)
    shape = size if channels == 1 else (*size, channels)
    if dtype == "float32":
        return rng.random(shape, dtype=np.float32)
    return rng.integers(0, np.iinfo(DEPTHS[dtype]).max + 1, shape).astype(DEPTHS[dtype])


def _message(path: Path, **kwargs: bool) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path, **kwargs)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


# --- numbers


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_value_survives_the_way_to_float_and_back(dtype: str) -> None:
    values = np.arange(np.iinfo(DEPTHS[dtype]).max + 1, dtype=DEPTHS[dtype]).reshape(16, -1)
    as_float = to_float(values)
    assert as_float.dtype == np.float32
    assert (as_float.min(), as_float.max()) == (0, 1)
    assert np.array_equal(from_float(as_float, DEPTHS[dtype]), values)


def test_from_float_takes_the_nearest_level_and_clips() -> None:
    levels = np.array([[-3.0, -0.001, 0.4, 0.6, 127.4, 127.6, 254.6, 255.3, 900]], np.float32)
    assert from_float(levels / 255, np.uint8).tolist() == [[0, 0, 0, 1, 127, 128, 255, 255, 255]]
    assert from_float(levels, np.float32).max() == 1


# --- reading


def test_a_png_is_what_opencv_reads() -> None:
    assert np.array_equal(read_image(PHOTO), cv2.imread(str(PHOTO))[:, :, ::-1])


def test_read_rgb_is_float_rgb_of_any_kind(tmp_path: Path) -> None:
    photo = _random("uint8", 4)
    write_image(tmp_path / "a.png", photo)
    assert np.array_equal(read_rgb(tmp_path / "a.png"), np.float32(photo[:, :, :3]) / np.float32(255))
    for channels in (1, 2):
        grey = _random("uint16" if channels == 1 else "uint8", channels)
        write_image(tmp_path / "g.png", grey)
        plane = to_float(grey if channels == 1 else grey[:, :, 0])
        assert np.array_equal(read_rgb(tmp_path / "g.png"), np.stack([plane] * 3, axis=2))


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_keeps_its_low_bits(tmp_path: Path, channels: int) -> None:
    image = _random("uint16", channels)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA if channels == 4 else cv2.COLOR_RGB2BGR)
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", **extra)
    for name in ("a.png", "a.tif"):
        read = read_image(tmp_path / name)
        assert read.dtype == np.uint16
        assert np.array_equal(read, image)


@pytest.mark.parametrize("shape", [(19, 31), (19, 31, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_float_tiff_stays_float(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    image = np.random.default_rng(0).random(shape).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if len(shape) == 3 else "minisblack")
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == np.float32
    assert np.array_equal(read, image.astype(np.float32))


@pytest.mark.parametrize(
    ("mode", "wanted"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("LA", "LA"), ("L", "L"), ("RGBA", "RGBA")]
)
def test_pillows_modes_become_grey_or_rgb_with_their_alpha(tmp_path: Path, mode: str, wanted: str) -> None:
    photo = Image.open(PHOTO).resize((40, 30)).convert(mode)
    photo.save(tmp_path / "a.tif")
    assert np.array_equal(read_image(tmp_path / "a.tif"), np.array(photo.convert(wanted)))


def test_a_palette_with_a_transparent_colour_becomes_rgba(tmp_path: Path) -> None:
    photo = Image.open(PHOTO).resize((40, 30)).convert("P")
    photo.save(tmp_path / "a.png", transparency=3)
    read = read_image(tmp_path / "a.png")
    assert np.array_equal(read[:, :, 3] == 0, np.array(photo) == 3)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright_as_pillow_does_at_any_depth(tmp_path: Path, orientation: int) -> None:
    deep = _random("uint16", 3)
    exif = Image.Exif()
    exif[274] = orientation
    shallow = Image.fromarray((deep >> 8).astype(np.uint8))
    for name in ("a.png", "a.webp", "a.jpg"):
        shallow.save(tmp_path / name, exif=exif, **({"lossless": True} if name == "a.webp" else {}))
        with Image.open(tmp_path / name) as opened:
            assert np.array_equal(read_image(tmp_path / name), np.array(ImageOps.exif_transpose(opened)))
    upright = read_image(tmp_path / "a.png")

    png = cv2.imencode(".png", deep[:, :, ::-1])[1].tobytes()
    after_header = 33
    (tmp_path / "deep.png").write_bytes(
        png[:after_header] + _chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + png[after_header:]
    )
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    for name in ("deep.png", "deep.tif"):
        assert np.array_equal(read_image(tmp_path / name) >> 8, upright), name


def test_a_path_outside_ascii_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "фото 写真" / "größe.png"
    write_image(path, _random("uint16", 3))
    assert np.array_equal(read_image(path), _random("uint16", 3))


# --- files that are no images


def test_what_is_no_image_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("these are words\n" * 40)
    (tmp_path / "folder.png").mkdir()
    tifffile.imwrite(tmp_path / "int.tif", np.zeros((4, 4), np.int32))
    tifffile.imwrite(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32))
    assert "empty" in _message(tmp_path / "empty.png")
    assert "no PNG" in _message(tmp_path / "text.png")
    assert "folder" in _message(tmp_path / "folder.png")
    assert "no such file" in _message(tmp_path / "missing.png")
    assert "32-bit" in _message(tmp_path / "int.tif")
    assert "finite" in _message(tmp_path / "nan.tif")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", _random("uint8", 3))
    (tmp_path / "a.png").chmod(0)
    assert "cannot be read" in _message(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.jpg", "a.webp", "a.tif", "deep.tif", "a.bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    write_image(path, _random("uint16" if name.startswith("deep") else "uint8", 3, (64, 80)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert str(path) in _message(path)


def test_a_png_without_its_last_byte_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", _random("uint8", 3))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-1])
    assert "truncated" in _message(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_what_there_is_of_a_truncated_file_can_be_had(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / name, read_image(PHOTO))
    whole = read_image(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: (tmp_path / name).stat().st_size // 2])
    part = read_image(tmp_path / name, allow_truncated=True)
    assert part.shape == whole.shape
    equal_rows = (part == whole).all(axis=(1, 2))
    assert equal_rows.mean() > 0.3
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    _message(tmp_path / name)


def test_a_small_file_that_would_unfold_to_gigapixels_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0")) + _chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(png)
    assert "60000x60000" in _message(tmp_path / "bomb.png")


def test_a_photo_of_two_hundred_megapixels_is_not_taken_for_a_bomb(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_image(tmp_path / "a.png", _random("uint8", 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit, far below this image
    assert read_image(tmp_path / "a.png").shape == (19, 31, 3)
    assert Image.MAX_IMAGE_PIXELS == 10
    assert realciao.images.reading.MAX_PIXELS >= 200_000_000


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_damaged_bytes_give_an_image_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    write_image(path, _random("uint16" if name.startswith("deep") else "uint8", 3))
    rng = np.random.default_rng(seed)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    data[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
    path.write_bytes(data.tobytes())
    with contextlib.suppress(ImageError):
        assert read_image(path).ndim in (2, 3)


# --- writing


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_lossless_format_gives_back_what_it_can_hold(tmp_path: Path, suffix: str, dtype: str, channels: int) -> None:
    image = _random(dtype, channels)
    write_image(tmp_path / f"a{suffix}", image)
    read = read_image(tmp_path / f"a{suffix}")
    deep = (suffix, dtype) in {(".png", "uint16"), (".tif", "uint16"), (".tif", "float32")}
    expected = image if deep or dtype == "uint8" else from_float(to_float(image), np.uint8)
    if channels in (2, 4) and suffix == ".bmp":
        expected = expected[:, :, 0] if channels == 2 else expected[:, :, :3]
    if channels == 2 and deep and suffix == ".tif":
        expected = expected[:, :, [0, 0, 0, 1]]
    assert read.dtype == expected.dtype
    assert np.array_equal(read, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("suffix", "kept"), [(".jpg", (1, 1, 3, 3)), (".webp", (3, 4, 3, 4))])
def test_a_lossy_format_is_written_with_the_channels_it_knows(
    tmp_path: Path, suffix: str, kept: tuple[int, ...], dtype: str
) -> None:
    for channels, expected in zip((1, 2, 3, 4), kept, strict=True):
        write_image(tmp_path / f"a{suffix}", _random(dtype, channels))
        read = read_image(tmp_path / f"a{suffix}")
        assert read.dtype == np.uint8
        assert (1 if read.ndim == 2 else read.shape[2]) == expected


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_written_as_opencv_reads_them(tmp_path: Path, name: str) -> None:
    image = _random("uint16", 3)
    write_image(tmp_path / name, image)
    assert np.array_equal(cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)[:, :, ::-1], image)


def test_jpeg_is_written_at_full_colour_resolution_and_follows_quality(tmp_path: Path) -> None:
    photo = read_image(PHOTO)
    write_image(tmp_path / "a.jpg", photo)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.layer[1][1:3] == (1, 1)  # type: ignore[attr-defined]
        assert opened.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - photo).mean() < 2
    write_image(tmp_path / "low.jpg", photo, quality=30)
    assert (tmp_path / "low.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size / 2


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_image(path, _random("uint8", 3))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match=r"a\.png: cannot be written \(No space left on device\)"):
        write_image(path, _random("uint8", 4))
    assert os.listdir(tmp_path) == ["a.png"]
    assert np.array_equal(read_image(path), _random("uint8", 3))


def test_what_cannot_be_written_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases = {
        tmp_path / "a.gif": (_random("uint8", 3), "'.gif'"),
        tmp_path / "file" / "a.png": (_random("uint8", 3), "cannot be written"),
        tmp_path / "wide.webp": (np.zeros((1, 20000, 3), np.uint8), "WEBP cannot hold this 20000x1 image"),
        tmp_path / "wide.jpg": (np.zeros((1, 70000), np.uint8), "JPEG cannot hold this 70000x1 image"),
    }
    for path, (image, says) in cases.items():
        with pytest.raises(ImageError) as caught:
            write_image(path, image)
        assert str(caught.value).startswith(f"{path}: ")
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


def test_pillow_still_reads_what_is_written(tmp_path: Path) -> None:
    image = _random("uint8", 4)
    write_image(tmp_path / "a.tiff", image)
    assert np.array_equal(np.array(Image.open(io.BytesIO((tmp_path / "a.tiff").read_bytes()))), image)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_in_the_header_is_that_of_the_decoded_image(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (20, 10)).save(path, **({} if suffix == "bmp" else {"exif": exif}))
    assert read_size(path) == read_image(path).shape[:2]


def test_bicubic_is_pillows() -> None:
    image = np.random.default_rng(0).random((12, 10, 3), np.float32)
    ours = upscale_bicubic(image, (29, 31))
    channels = [Image.fromarray(image[:, :, c]).resize((31, 29), Image.Resampling.BICUBIC) for c in range(3)]
    np.testing.assert_allclose(ours, np.stack(channels, axis=2).clip(0, 1), atol=1e-5)


def test_read_size_refuses_what_read_image_refuses_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "large.png", _random("uint8", 3))
    (tmp_path / "text.png").write_text("not an image")
    Image.new("RGB", (4, 4)).save(tmp_path / "gif.png", format="GIF")
    monkeypatch.setattr(realciao.images.reading, "MAX_PIXELS", 10)
    for name in ("large.png", "text.png", "gif.png", "gone.png"):
        said = []
        for read in (read_size, read_image):
            with pytest.raises(ImageError) as caught:
                read(tmp_path / name)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_an_image_comes_back_from_a_batch_of_one() -> None:
    image = _random("float32", 3)
    batch = to_tensor(image)
    assert batch.shape == (1, 3, 19, 31)
    assert batch[0, 2, 4, 5] == image[4, 5, 2]
    assert np.array_equal(to_array(batch), image)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_named_like_an_image_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for read in (read_image, read_size):
        with pytest.raises(ImageError, match="no ordinary file"):
            read(tmp_path / "x.png")


_RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_deep_tiff_is_read_in_any_layout(
    tmp_path: Path, dtype: type, channels: int, planar: str, compression: str | None
) -> None:
    image = from_float(_RANDOM.random((9, 11, channels), np.float32), dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        image if planar == "contig" else np.ascontiguousarray(image.transpose(2, 0, 1)),
        photometric="minisblack" if channels == 2 else "rgb",
        planarconfig=planar,
        extrasamples=["unassalpha"] if channels != 3 else None,
        compression=compression,
        iccprofile=b"profile",
    )
    assert np.array_equal(read_image(tmp_path / "a.tif"), image)


def test_colours_that_a_deep_tiff_holds_multiplied_by_alpha_are_divided(tmp_path: Path) -> None:
    image = np.array([[[60000, 30000, 0, 32768], [0, 0, 0, 0]]], np.uint16)
    stored = np.rint(image[:, :, :3] * (image[:, :, 3:] / 65535)).astype(np.uint16)
    stored = np.concatenate([stored, image[:, :, 3:]], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - image).max() <= 1


def test_sixteen_bit_grey_keeps_its_transparency_in_a_png(tmp_path: Path) -> None:
    image = _RANDOM.integers(0, 65536, (5, 6, 2)).astype(np.uint16)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png"), image)
    file = Image.fromarray(image[:, :, 0])
    file.save(tmp_path / "b.png")
    data, trns = (tmp_path / "b.png").read_bytes(), b"tRNS" + image[2, 3, :1].astype(">u2").tobytes()
    begin = data.index(b"IDAT") - 4
    chunk = struct.pack(">I", 2) + trns + struct.pack(">I", zlib.crc32(trns))
    (tmp_path / "b.png").write_bytes(data[:begin] + chunk + data[begin:])
    hidden = image[:, :, 0] == image[2, 3, 0]
    assert np.array_equal(read_image(tmp_path / "b.png")[:, :, 1], np.where(hidden, 0, 65535))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_deep_tiff_with_white_at_zero_is_no_negative(tmp_path: Path, byteorder: str) -> None:
    grey = _random("uint16", 1)
    tifffile.imwrite(tmp_path / "a.tif", 65535 - grey, photometric="miniswhite", byteorder=byteorder)
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - grey).max() <= 1


def test_twelve_bits_in_a_tiff_reach_to_white(tmp_path: Path) -> None:
    levels = np.array([[0, 4095, 2048, 1]])
    bits = "".join(f"{level:012b}" for level in levels[0])
    pixels = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(pixels)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = struct.pack("<4sI", b"II*", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + directory + bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.rint(levels / 4095 * 65535))


@pytest.mark.parametrize("suffix", ["webp", "tif"])
def test_a_compressed_file_that_breaks_off_says_so_and_its_decoder_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "webp":
        Image.fromarray(_random("uint8", 3)).save(path)
    else:
        tifffile.imwrite(path, _random("uint16", 3), photometric="rgb", compression="zlib", rowsperstrip=4)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)
    assert capfd.readouterr().err == ""
