"""The published facts about MNIST: counts, bounds, and prototypes of its classes."""

from dataclasses import dataclass
from typing import NamedTuple

CLASSES = 10


class Bound(NamedTuple):
    """The inclusive bounds of all images' values in a column of the frame."""

    about: str
    column: str
    low: float
    high: float


@dataclass(frozen=True)
class Specification:
    """The known facts about a set of digits. Grey levels run from 0 to 255."""

    # Number of images in each class.
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    bounds: tuple[Bound, ...]
    # Mean grey level of each class, and the relative deviation that a sample may have.
    class_means: tuple[float, ...]
    class_mean_tolerance: float
    # Mean image of each class in 7x7 cells, as 98 hex digits.
    prototypes: tuple[str, ...]
    # The least share of a class's images whose nearest prototype is that of their own class.
    agreement: float


# Counts, the black background, the box of 20x20 and the centre of mass in the middle are in the
# data set's description (http://yann.lecun.com/exdb/mnist). In the published images, means lie
# within 6.5-101, standard deviations within 31-119, shares of ink within .04-.45, of saturated
# pixels below .30. Class means and prototypes are those of the published training images; the test
# set's class means differ from them by at most 5%. 61% to 96% of a class are nearest to their own
# prototype and at most 15% to any other. So a bound of 50% separates the two, and detects wrong
# labels even if their counts are right.
MNIST = Specification(
    train_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    test_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    bounds=(
        Bound("the ground is black", "minimum", 0, 0),
        Bound("the brightest pixel is white", "maximum", 254, 255),
        Bound("mean: neither blank nor full", "mean", 5, 120),
        Bound("contrast within the image", "std", 25, 125),
        Bound("share of pixels with ink", "ink_share", 0.03, 0.5),
        Bound("share of saturated pixels", "saturated_share", 0, 0.35),
        Bound("rows of the digit's box", "box_rows", 1, 20),
        Bound("columns of the digit's box", "box_columns", 1, 20),
        Bound("row of the centre of mass", "centre_row", 13.4, 14.6),
        Bound("column of the centre of mass", "centre_column", 13.4, 14.6),
    ),
    class_means=(44.2, 19.4, 38.0, 36.1, 31.0, 32.8, 35.0, 29.2, 38.3, 31.3),
    class_mean_tolerance=0.1,
    prototypes=(
        "000000010100000002247a862900001480786c7604004680133080080067622173580300369e9b5f0f0000010607010000",
        "000000000000000000043f480d00000003714f0300000004a71b00000000229b0a00000006436510010000000405010000",
        "0000040b060100000d5088711700000e2a357525000008295e751702013c8ca779390901327357452a0400000101010000",
        "0000010201000000135888651100010f2a617f16000004469d7f130002131823792c000332788c69100000041012040000",
        "0000000000000000051a192b2102001464316e2b0100339b65a22101001b4d7f7211000001144c3b08000000050d090100",
        "00000000010000000322535a3b0a000b6570412609001079774b0e0000182539611f0100206d7d550f0000010d11050000",
        "00000514180500000220634109000007525f190c000013856b7d440400169c8d8a410200043e733e070000000000000000",
        "00000000000000000718221e080004348487a631000114212692160000030e6d5c060000022a74220100000527330e0100",
        "0000000000000000032771702602000e6961764305000752b2711101000b6b83500e0000167b8a500b0000011118060000",
        "000000000000000001104336070000117765851f0000237d6fa11200000933696607000001165a3a070000011324160400",
    ),
    agreement=0.5,
)
