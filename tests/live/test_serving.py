"""The guard of the server, by itself; tests/pipeline/test_serve.py asks the whole over HTTP."""

import json

import numpy as np
import pytest

from lr_ceiling.live.serving import MAX_IMAGES, RequestError, check_images


@pytest.mark.parametrize("images", [1, MAX_IMAGES])
def test_images_pass(images: int) -> None:
    image = np.linspace(0, 1, 28 * 28).reshape(28, 28, 1).tolist()
    check_images(json.dumps({"inputs": [image] * images}).encode())
    # Whole numbers are numbers too.
    check_images(json.dumps({"instances": np.ones((1, 28, 28, 1), int).tolist()}).encode())


@pytest.mark.parametrize(
    "shape",
    [
        (28, 28),
        (28, 28, 1),
        (1, 28, 28),
        (2, 27, 28, 1),
        (1, 28, 28, 3),
        (0,),
        (MAX_IMAGES + 1, 28, 28, 1),
    ],
    ids=str,
)
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    body = json.dumps({"inputs": np.zeros(shape, dtype=int).tolist()}).encode()
    with pytest.raises(RequestError) as error:
        check_images(body)
    assert error.value.status == 400
    assert str(error.value).startswith(f"the shape is {shape}: it must be (n, 28, 28, 1)")


def test_truth_is_no_pixel() -> None:
    body = json.dumps({"inputs": np.zeros((1, 28, 28, 1), dtype=bool).tolist()}).encode()
    with pytest.raises(RequestError, match="a pixel is not a number"):
        check_images(body)
