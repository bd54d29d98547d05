"""Pictures of digits in every form that people draw them in, brought to MNIST's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lr_ceiling.errors import DatasetError
from lr_ceiling.live import picture
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Bytes

Picture = Image.Image


@pytest.fixture(scope="session")
def digits(mnist_path: Path) -> Bytes:
    """Real digits (20, 28, 28)."""
    return dataset.read_arrays(mnist_path).test_images[:20]


def big(digit: Bytes) -> Picture:
    return Image.fromarray(digit).resize((280, 280), Image.Resampling.BOX)


def inverted(digit: Bytes) -> Picture:
    return big(255 - digit)


def off_centre(digit: Bytes) -> Picture:
    canvas = Image.new("L", (900, 400), 255)
    canvas.paste(inverted(digit), (600, 110))
    return canvas


def coloured(digit: Bytes) -> Picture:
    share = np.asarray(big(digit), dtype=np.float64)[..., np.newaxis] / 255
    ink, paper = np.array([200, 30, 60]), np.array([40, 120, 60])
    return Image.fromarray(np.round(share * ink + (1 - share) * paper).astype(np.uint8))


def transparent(ink: int) -> Callable[[Bytes], Picture]:
    def draw(digit: Bytes) -> Picture:
        pixels = np.full((280, 280, 2), ink, dtype=np.uint8)
        pixels[..., 1] = np.asarray(big(digit))
        return Image.fromarray(pixels, "LA")

    return draw


def deep(digit: Bytes) -> Picture:
    values: NDArray[np.uint16] = np.asarray(big(digit)).astype(np.uint16) * 200
    return Image.fromarray(values)


def with_palette(digit: Bytes) -> Picture:
    return coloured(digit).quantize(64)


@pytest.mark.parametrize(
    "form",
    [
        *(big, inverted, off_centre, coloured, transparent(0), transparent(255), deep),
        with_palette,
    ],
)
def test_a_real_digit_comes_back_whatever_its_form(
    form: Callable[[Bytes], Picture], digits: Bytes, tmp_path: Path
) -> None:
    for digit in digits:
        form(digit).save(tmp_path / "digit.png")
        found = picture.read_digit(tmp_path / "digit.png")
        assert found.shape == (28, 28)
        assert found.dtype == np.uint8
        # Its faintest edge pixels may count as paper, so that it is scaled by 20/19 or 20/18; an
        # image of another digit correlates by 0.4.
        assert np.corrcoef(found.ravel(), digit.ravel())[0, 1] > 0.85


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
def test_common_formats_are_read(suffix: str, digits: Bytes, tmp_path: Path) -> None:
    path = tmp_path / f"digit.{suffix}"
    inverted(digits[0]).convert("RGB").save(path)
    assert picture.read_digit(path).max() == 255


def stroke(path: Path, width: int, size: tuple[int, int], line: list[tuple[int, int]]) -> Path:
    canvas = Image.new("RGB", size, "white")
    ImageDraw.Draw(canvas).line(line, "black", width)
    canvas.save(path)
    return path


def test_the_box_is_twenty_pixels_and_its_mass_is_in_the_middle(tmp_path: Path) -> None:
    drawn = stroke(tmp_path / "l.png", 40, (1000, 700), [(500, 100), (500, 580), (800, 580)])
    found = picture.read_digit(drawn)
    rows, columns = np.nonzero(found)
    assert (int(np.ptp(rows)), int(np.ptp(columns))) == (19, 12)
    for axis in range(2):
        mass = found.sum(axis=1 - axis)
        assert abs(np.average(np.arange(28), weights=mass) - 14) <= 0.5


def test_a_thin_stroke_keeps_its_darkness(tmp_path: Path) -> None:
    drawn = stroke(tmp_path / "l.png", 4, (1000, 1000), [(100, 100), (100, 900), (700, 900)])
    found = picture.read_digit(drawn)
    assert found.max() == 255
    assert np.median(found[found > 0]) > 100


def test_a_dash_and_a_dot_have_room(tmp_path: Path) -> None:
    dash = picture.read_digit(stroke(tmp_path / "d.png", 6, (400, 60), [(20, 30), (380, 30)]))
    assert np.nonzero(dash.any(axis=0))[0].tolist() == list(range(4, 24))
    dot = picture.read_digit(stroke(tmp_path / "d.png", 1, (50, 50), [(3, 3), (3, 3)]))
    assert dot[4:24, 4:24].min() == 255


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no picture that can be read"),
        (b"no picture", "is no picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that can be read"),
        (None, "is missing"),
    ],
)
def test_what_is_no_picture_is_an_error(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        picture.read_digit(path)


def test_a_torn_picture_is_an_error(digits: Bytes, tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    coloured(digits[0]).save(path)
    content = path.read_bytes()
    for length in range(20, len(content) - 20, len(content) // 10):
        path.write_bytes(content[:length])
        with pytest.raises(DatasetError, match="is no picture that can be read"):
            picture.read_digit(path)


@pytest.mark.parametrize(("mode", "colour"), [("L", 255), ("RGB", "red"), ("RGBA", (0, 0, 0, 0))])
def test_a_blank_picture_is_an_error(mode: str, colour: object, tmp_path: Path) -> None:
    Image.new(mode, (200, 100), colour).save(tmp_path / "blank.png")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="is blank: its colours differ by 0 of 255"):
        picture.read_digit(tmp_path / "blank.png")


def test_a_giant_picture_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "giant.png")
    with pytest.raises(DatasetError, match="has 10000 x 10000 pixels"):
        picture.read_digit(tmp_path / "giant.png")


def test_real_digits_are_hardly_ever_doubted(mnist_path: Path) -> None:
    images = dataset.read_arrays(mnist_path).test_images[:2000]
    assert sum(picture.doubt(image) is not None for image in images) <= 6


def test_noise_a_filled_box_and_two_digits_are_doubted(digits: Bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    generator = np.random.default_rng(0)

    def doubt(pixels: NDArray[np.uint8]) -> str:
        Image.fromarray(np.pad(pixels, 8)).save(path)
        return picture.doubt(picture.read_digit(path)) or ""

    assert doubt(np.hstack([digits[0], digits[1]])).endswith("side by side")
    assert doubt(np.full((60, 60), 255, np.uint8)) == "100% of it is ink"
    assert "of it is ink" in doubt(generator.integers(0, 256, (200, 200)).astype(np.uint8))
    specks = np.where(generator.random((20, 20)) < 0.1, 255, 0).astype(np.uint8)
    assert doubt(specks).startswith("it holds ")
