"""What a photo's file says beside its pixels, from an input to a result; and files that come in bands."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from realciao.errors import UserError
from realciao.images.metadata import Metadata
from realciao.images.reading import read_photo
from realciao.images.writing import Bands, ImageError, write_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description tiff:Orientation="6" tiff:ImageWidth="20" xmp:Rating="5">'
    b"<exif:PixelYDimension>10</exif:PixelYDimension></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Ours"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageWidth] = 20
    sub = exif.get_ifd(ExifTags.IFD.Exif)
    sub[ExifTags.Base.ExifImageWidth] = 20
    sub[ExifTags.Base.ExifImageHeight] = 10
    sub[ExifTags.Base.FNumber] = IFDRational(14, 5)
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


def _photo(path: Path) -> Path:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8))
    options = {"exif": _exif(), "icc_profile": SRGB, "xmp": XMP, "dpi": (300, 300)}
    if path.suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = info
        del options["xmp"]
    image.save(path, **options)
    return path


def _bands(shape: tuple[int, ...], dtype: type = np.uint8, rows: int = 7) -> tuple[np.ndarray, Bands]:
    noise = np.random.default_rng(0).random(shape, np.float32)
    image = noise if dtype == np.float32 else (noise * np.iinfo(dtype).max).astype(dtype)
    return image, Bands(shape, image.dtype, (image[i : i + rows] for i in range(0, shape[0], rows)))


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("result", ["b.jpg", "b.png", "b.webp"])
def test_profile_exif_xmp_and_resolution_go_into_the_result_brought_up_to_date(
    tmp_path: Path, source: str, result: str
) -> None:
    metadata = read_photo(_photo(tmp_path / source)).metadata
    write_photo(tmp_path / result, _bands((47, 24, 3))[1], metadata.for_size((47, 24)))
    with Image.open(tmp_path / result) as opened:
        opened.load()
        assert opened.info["icc_profile"] == SRGB
        exif = opened.getexif()
        assert exif[ExifTags.Base.Make] == "Ours"
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        if source != "a.tif":  # there Pillow writes the first directory alone
            sub = exif.get_ifd(ExifTags.IFD.Exif)
            assert (sub[ExifTags.Base.ExifImageHeight], sub[ExifTags.Base.ExifImageWidth]) == (47, 24)
            assert sub[ExifTags.Base.FNumber] == pytest.approx(2.8)
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
            xmp = opened.info.get("xmp") or opened.info["XML:com.adobe.xmp"].encode()
            assert b'tiff:Orientation="1"' in xmp
            assert b'tiff:ImageWidth="24"' in xmp
            assert b"<exif:PixelYDimension>47<" in xmp
            assert b'xmp:Rating="5"' in xmp
        if result != "b.webp" and source != "a.webp":  # WebP has no place for it
            assert opened.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("name", ["b.jpg", "b.png", "b.webp", "b.tif"])
def test_letters_beyond_ascii_stay_in_exif_byte_for_byte(tmp_path: Path, name: str) -> None:
    exif = _exif()
    exif[ExifTags.Base.Copyright] = "COPYRIGHT!"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "LENS-MODEL"
    letters = {b"COPYRIGHT!": "© Zoë 24".encode(), b"LENS-MODEL": "Größe 50".encode()}
    data = exif.tobytes()
    for ascii_, utf8 in letters.items():
        assert len(ascii_) == len(utf8)
        data = data.replace(ascii_, utf8)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=data)
    image, metadata, _ = read_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / name, Bands(image.shape, image.dtype, iter([image])), metadata.for_size((6, 8)))
    written = (tmp_path / name).read_bytes()
    assert all(utf8 in written for utf8 in letters.values())


def test_a_grey_profile_stays_out_of_a_webp_which_is_rgb(tmp_path: Path) -> None:
    grey = np.zeros((4, 5), np.uint8)
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    for name, kept in (("a.jpg", profile), ("a.webp", None)):
        write_photo(tmp_path / name, Bands(grey.shape, grey.dtype, iter([grey])), Metadata(icc=profile))
        with Image.open(tmp_path / name) as opened:
            assert opened.info.get("icc_profile") == kept


def test_a_tiff_holds_profile_resolution_xmp_and_exif(tmp_path: Path) -> None:
    metadata = read_photo(_photo(tmp_path / "a.jpg")).metadata
    image, bands = _bands((47, 24, 3))
    write_photo(tmp_path / "b.tif", bands, metadata.for_size((47, 24)))
    with Image.open(tmp_path / "b.tif") as opened:
        assert np.array_equal(np.asarray(opened), image)
        assert opened.info["icc_profile"] == SRGB
        assert opened.info["dpi"] == (300, 300)
        assert opened.tag_v2[271] == "Ours"  # type: ignore[attr-defined]
        assert b'tiff:Orientation="1"' in opened.tag_v2[700]  # type: ignore[attr-defined]
        assert opened.getexif().get(ExifTags.Base.Orientation) == 1
        sub = opened.getexif().get_ifd(ExifTags.IFD.Exif)
        assert sub[ExifTags.Base.FNumber] == pytest.approx(2.8)
        assert (sub[ExifTags.Base.ExifImageHeight], sub[ExifTags.Base.ExifImageWidth]) == (47, 24)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:  # another program's reading
        tags = file.pages.first.tags
        assert [tag.code for tag in tags] == sorted(tag.code for tag in tags)
        assert tags["ExifTag"].value["FNumber"] == (14, 5)
        assert tags["GPSTag"].value["GPSLatitudeRef"] == "N"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_what_a_deep_tiff_says_beside_its_pixels_is_read_too(tmp_path: Path, dtype: type) -> None:
    expected = read_photo(_photo(tmp_path / "a.jpg")).metadata.for_size((10, 20))
    write_photo(tmp_path / "b.tif", _bands((10, 20, 3), dtype)[1], expected)
    found = read_photo(tmp_path / "b.tif").metadata.for_size((10, 20))
    assert (found.icc, found.xmp, found.dpi) == (expected.icc, expected.xmp, expected.dpi)
    write_photo(tmp_path / "c.jpg", _bands((10, 20, 3))[1], found)
    with Image.open(tmp_path / "c.jpg") as opened:
        assert opened.getexif()[ExifTags.Base.Make] == "Ours"
        assert opened.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] == pytest.approx(2.8)


def test_a_thumbnail_of_the_old_photo_is_left_out(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.new("RGB", (4, 4)).save(thumbnail, "JPEG")
    exif = _with_thumbnail(_exif().tobytes().removeprefix(b"Exif\0\0"), thumbnail.getvalue())
    before, after = Image.Exif(), Image.Exif()
    before.load(exif)
    assert before.get_ifd(ExifTags.IFD.IFD1)
    stored = Metadata(exif=exif).for_size((3, 3)).exif
    assert stored is not None
    after.load(stored)
    assert not after.get_ifd(ExifTags.IFD.IFD1)
    assert thumbnail.getvalue() not in stored


def _with_thumbnail(exif: bytes, thumbnail: bytes) -> bytes:
    """With a second directory, which the TIFF structure's first links to."""
    order = ">" if exif[:2] == b"MM" else "<"
    (first,) = struct.unpack_from(f"{order}I", exif, 4)
    link = first + 2 + 12 * struct.unpack_from(f"{order}H", exif, first)[0]
    pixels = len(exif) + 2 + 2 * 12 + 4
    second = struct.pack(f"{order}HHHIIHHIII", 2, 513, 4, 1, pixels, 514, 4, 1, len(thumbnail), 0)
    return exif[:link] + struct.pack(f"{order}I", len(exif)) + exif[link + 4 :] + second + thumbnail


def test_broken_metadata_is_left_out_and_the_pixels_are_read(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", icc_profile=b"none")
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.image.shape == (6, 8, 3)
    assert photo.metadata.icc is None
    assert Metadata(exif=b"rubbish", xmp=b"<").for_size((2, 2)).exif is None


def test_a_profile_of_another_kind_of_image_is_not_written(tmp_path: Path) -> None:
    write_photo(tmp_path / "b.png", _bands((5, 5))[1], Metadata(icc=SRGB))
    with Image.open(tmp_path / "b.png") as opened:
        assert "icc_profile" not in opened.info


def test_cmyk_becomes_rgb_by_its_profile(tmp_path: Path) -> None:
    paper = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    paper.save(tmp_path / "plain.jpg", quality=100)
    photo = read_photo(tmp_path / "plain.jpg")
    assert photo.image.shape == (4, 4, 3)
    assert photo.metadata.icc is None  # one of CMYK would be wrong for the result
    assert photo.image[0, 0, 0] < 20 < 200 < photo.image[0, 0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(200, 33), (200, 33, 3), (130, 20, 4), (1, 1, 3), (64, 5, 3)])
@pytest.mark.parametrize("rows", [1, 50, 300])
def test_a_tiff_in_bands_is_the_image(tmp_path: Path, shape: tuple[int, ...], dtype: type, rows: int) -> None:
    image, bands = _bands(shape, dtype, rows)
    write_photo(tmp_path / "a.tif", bands)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image)


def test_what_fails_while_the_bands_are_made_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def breaking(error: Exception) -> Iterator[np.ndarray]:
        yield np.zeros((4, 9, 3), np.uint8)
        raise error

    for error in (UserError("the network is out of luck"), RuntimeError("bug"), MemoryError()):
        for name in ("a.png", "a.tif", "a.jpg"):
            with pytest.raises(type(error)) as caught:
                write_photo(tmp_path / name, Bands((8, 9, 3), np.dtype(np.uint8), breaking(error)))
            assert caught.value is error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "size"),
    [("a.jpg", (2, 65536)), ("a.webp", (16384, 2)), ("a.bmp", (32768, 2**17)), ("a.jpg", (50000, 60000))],
)
def test_a_size_that_a_format_or_memory_cannot_hold_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=16 * 2**30))

    def never() -> Iterator[np.ndarray]:
        raise AssertionError("asked for a band")
        yield

    with pytest.raises(ImageError, match="give PNG or TIFF"):
        write_photo(tmp_path / name, Bands((*size, 3), np.dtype(np.uint8), never()))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_an_absurd_resolution_counts_as_none(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=((2**32 - 1, 1),) * 2, resolutionunit="INCH")
    metadata = read_photo(tmp_path / "a.tif").metadata
    assert metadata.dpi is None
    write_photo(tmp_path / f"b{suffix}", Bands(image.shape, image.dtype, iter([image])), metadata.for_size((3, 4)))
    assert read_photo(tmp_path / f"b{suffix}").image.shape == image.shape


def test_how_a_tiff_was_stored_is_not_copied_nor_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    stored = [(32997, 4, 1, 1, True), (40965, 4, 1, 8, True), (305, 2, 5, "Ours", True)]
    Image.fromarray(image).save(tmp_path / "a.tif", tiffinfo={tag: value for tag, _, _, value, _ in stored})
    metadata = read_photo(tmp_path / "a.tif").metadata
    write_photo(tmp_path / "b.tif", Bands(image.shape, image.dtype, iter([image])), metadata.for_size((3, 4)))
    assert not caplog.records
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert written.pages.first.tags.valueof(305) == "Ours"
        assert 32997 not in written.pages.first.tags
