"""A picture that a person drew, brought to MNIST's form as its makers brought theirs.

Their digits were scaled to fit a box of 20x20 pixels with the aspect kept, and put into 28x28 so
that the centre of mass is in the middle: http://yann.lecun.com/exdb/mnist.
"""

import itertools
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from lr_ceiling.errors import DatasetError
from lr_ceiling.mnist.dataset import Bytes

SIDE, BOX = 28, 20
# What else Pillow reads are rare formats, some of them by running other programs.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
# A photograph of a phone; one of this size takes 2 s and 1.5 GB.
MAX_PIXELS = 50_000_000
# Of 255: a scan's paper and the noise of JPEG stay below, a pale pencil does not.
LEAST_CONTRAST = 32
# Share of the strongest ink that a pixel of the digit's box has at least; JPEG's ripples have less.
BOX_INK = 0.25

# What is no digit, of the picture in MNIST's form. Of MNIST's 10,000 test images 10 have two shapes
# side by side, each a tenth of the ink or more, 1 has five shapes, and of those that are at least
# half as wide as high none has so much of its box full of ink.
SHAPE, MANY, FULL = 0.1, 5, 0.85

Ink = NDArray[np.float32]


def read_digit(path: Path) -> Bytes:
    """The digit in a picture as MNIST would hold it: (28, 28), 0 where there is no ink.

    Whatever differs from the colour of the picture's border is ink: dark on light, light on dark,
    coloured. Raises DatasetError for a file that is no picture, and for a picture without a digit.
    """
    ink = _ink(path)
    box = _cut(ink)
    return _centred(_fitted(box))


def doubt(digit: Bytes) -> str | None:
    """Why a digit in MNIST's form, (28, 28), may be none; None where nothing speaks against it."""
    box = _cut((digit / 255).astype(np.float32))
    inked = box >= BOX_INK
    shapes, count = ndimage.label(inked, np.ones((3, 3)))
    if count >= MANY:
        return f"it holds {count} shapes"
    height, width = inked.shape
    if inked.mean() > FULL and 2 * width >= height:
        return f"{inked.mean():.0%} of it is ink"
    sizes = np.bincount(shapes.ravel())[1:]
    columns = sorted(
        (places[1].start, places[1].stop)
        for places, size in zip(ndimage.find_objects(shapes), sizes, strict=True)
        if size >= SHAPE * sizes.sum()
    )
    if any(left[1] <= right[0] for left, right in itertools.pairwise(columns)):
        return f"it holds {len(columns)} shapes side by side"
    return None


def _ink(path: Path) -> Ink:
    """How much each pixel (height, width) differs from the background, from 0 to 1."""
    colours = np.asarray(_opened(path), dtype=np.float32)
    border = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    difference = np.abs(colours - np.median(border, axis=0)).max(axis=2)
    if difference.max() < LEAST_CONTRAST:
        raise DatasetError(
            f"{path} is blank: its colours differ by {difference.max():.0f} of 255 from its "
            f"border's; a digit needs {LEAST_CONTRAST}"
        )
    return np.asarray(difference / difference.max(), dtype=np.float32)


def _opened(path: Path) -> Image.Image:
    """The picture upright, in red, green and blue, without transparency."""
    try:
        with warnings.catch_warnings():
            # Of sizes that are asked for below, and of damage that is told by an exception.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise DatasetError(
                        f"{path} has {picture.width} x {picture.height} pixels: make it smaller "
                        f"than {MAX_PIXELS:,}"
                    )
                return _opaque(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    # Pillow raises whatever a format's parser meets in a damaged file.
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, MemoryError) as error:
        raise DatasetError(f"{path} is no picture that can be read ({_reason(error)})") from None


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode in ("I", "I;16", "I;16B", "F"):
        # Conversion would clip what is above 255.
        values = np.asarray(picture, dtype=np.float32)
        values = values - values.min()
        picture = Image.fromarray((values * (255 / max(values.max(), 1))).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    drawn = picture.convert("RGBA")
    # Ink of any colour is seen on the ground that is further from it.
    grey, alpha = drawn.convert("L"), drawn.getchannel("A")
    weights = np.asarray(alpha, dtype=np.float64)
    lightness = float((np.asarray(grey) * weights).sum() / max(weights.sum(), 1))
    ground = Image.new("RGBA", drawn.size, "black" if lightness > 127 else "white")
    return Image.alpha_composite(ground, drawn).convert("RGB")


def _cut(ink: Ink) -> Ink:
    """The part of `ink` that the digit fills."""
    rows = np.flatnonzero((ink >= BOX_INK).any(axis=1))
    columns = np.flatnonzero((ink >= BOX_INK).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(box: Ink) -> Ink:
    """`box` with its longer side scaled to 20; thin strokes keep their full darkness."""
    height, width = box.shape
    scale = BOX / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = np.asarray(Image.fromarray(box).resize(size, Image.Resampling.BOX))
    return np.asarray(small / small.max(), dtype=np.float32)


def _centred(small: Ink) -> Bytes:
    """`small` in 28x28 with its centre of mass as near the middle as its box allows."""
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    top, left = (_start(small.sum(axis=1 - axis), small.shape[axis]) for axis in range(2))
    height, width = small.shape
    image[top : top + height, left : left + width] = np.round(small * 255)
    return image


def _start(mass: Ink, length: int) -> int:
    centre = float((mass * np.arange(length)).sum() / mass.sum())
    return int(np.clip(round(SIDE / 2 - centre), 0, SIDE - length))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
