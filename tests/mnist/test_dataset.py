"""The files that hold MNIST, hostile ones included, and the splits."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lr_ceiling.errors import DatasetError
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import IDX_NAMES, ITEM_SHAPES, KERAS_KEYS, Arrays, Split


def numbered(labels: np.ndarray) -> Arrays:
    """Arrays whose training image i holds the number i, so that one can follow it."""
    images = np.zeros((len(labels), 28, 28), dtype=np.uint8)
    images[:, 0, :2] = np.arange(len(labels), dtype="<u2").view(np.uint8).reshape(-1, 2)
    return Arrays(images, labels, images[:1], labels[:1])


def numbers(part: Split) -> list[int]:
    return np.ascontiguousarray(part.images[:, 0, :2]).view("<u2").ravel().tolist()


def assert_equal(left: Arrays, right: Arrays) -> None:
    assert dataset.digests(left) == dataset.digests(right)
    for name in ITEM_SHAPES:
        assert getattr(left, name).shape == getattr(right, name).shape


def write_idx(folder: Path, arrays: Arrays, packed: bool) -> None:
    for name, file_name in IDX_NAMES.items():
        array = getattr(arrays, name)
        content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        content += array.tobytes()
        if packed:
            (folder / f"{file_name}.gz").write_bytes(gzip.compress(content, 1))
        else:
            (folder / file_name).write_bytes(content)


@pytest.fixture
def tiny() -> Arrays:
    return numbered(np.arange(12, dtype=np.uint8) % 10)


labels_strategy = hnp.arrays(np.uint8, st.integers(3, 400), elements=st.integers(0, 9))


def test_npz_gives_back_the_arrays(small_arrays: Arrays, tmp_path: Path) -> None:
    dataset.write_arrays(tmp_path / "new" / "mnist.npz", small_arrays)
    assert_equal(dataset.read_arrays(tmp_path / "new" / "mnist.npz"), small_arrays)


def test_npz_has_the_same_bytes_each_time(tiny: Arrays, tmp_path: Path) -> None:
    dataset.write_arrays(tmp_path / "a.npz", tiny)
    dataset.write_arrays(tmp_path / "b.npz", tiny)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npz_of_keras_is_read_as_it_is(tiny: Arrays, tmp_path: Path) -> None:
    members = {key: np.asfortranarray(getattr(tiny, name)) for name, key in KERAS_KEYS.items()}
    np.savez_compressed(tmp_path / "mnist.npz", **members)  # type: ignore[arg-type]
    assert_equal(dataset.read_arrays(tmp_path / "mnist.npz"), tiny)


def test_failed_write_leaves_nothing(tiny: Arrays, tmp_path: Path) -> None:
    target = tmp_path / "mnist.npz"
    target.mkdir()
    with pytest.raises(DatasetError, match=r"mnist\.npz can't be written"):
        dataset.write_arrays(target, tiny)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("packed", [False, True])
def test_idx_folder_gives_the_arrays(tiny: Arrays, tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path, tiny, packed)
    assert_equal(dataset.read_idx_folder(tmp_path), tiny)


def test_idx_folder_must_be_whole(tiny: Arrays, tmp_path: Path) -> None:
    write_idx(tmp_path, tiny, packed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match="t10k-labels-idx1-ubyte is missing"):
        dataset.read_idx_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read"),
        (b"\0\0\x0d\3" + struct.pack(">3I", 1, 28, 28), "no IDX file of uint8"),
        (struct.pack(">HBB3I", 0, 8, 3, 2, 28, 27), r"shape \(2, 28, 27\)"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 28, 28), "more than"),
        (struct.pack(">HBB3I", 0, 8, 3, 1, 28, 28) + bytes(783), "holds 783 of 784"),
        (struct.pack(">HBB3I", 0, 8, 3, 1, 28, 28) + bytes(785), "holds more of 784"),
        (struct.pack(">HBB255I", 0, 8, 255, *[1] * 255), "shape"),
    ],
)
def test_idx_is_not_trusted(content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        dataset.read_idx(io.BytesIO(content), "file", "train_images")


@given(
    zeros=st.sampled_from((0, 1)),
    kind=st.sampled_from((8, 9, 0x0D, 255)),
    sizes=st.lists(st.sampled_from((0, 1, 2, 28, 784, 2**31, 2**32 - 1)), max_size=5),
    rank=st.integers(0, 255),
    content=st.binary(max_size=2000),
)
def test_any_idx_is_refused_or_as_its_header_says(
    zeros: int, kind: int, sizes: list[int], rank: int, content: bytes
) -> None:
    header = struct.pack(f">HBB{len(sizes)}I", zeros, kind, rank, *sizes)
    for name, item in ITEM_SHAPES.items():
        try:
            array = dataset.read_idx(io.BytesIO(header + content), "file", name)
        except DatasetError:
            continue
        assert array.shape[1:] == item
        assert array.nbytes <= len(content)


def test_packed_idx_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    header = struct.pack(">HBB3I", 0, 8, 3, 1, 28, 28)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(header + bytes(50_000_000)))
    with pytest.raises(DatasetError, match="holds more of 784"):
        dataset.read_idx_folder(tmp_path)


def damage(key: str, value: object) -> dict[str, object]:
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    members = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    return members | {key: value}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (damage("x_train", np.zeros((2, 28, 28))), "x_train has dtype float64"),
        (damage("x_test", np.zeros((2, 784), np.uint8)), r"x_test has shape \(2, 784\)"),
        (damage("x_test", np.zeros((2, 28, 28, 1), np.uint8)), "x_test has shape"),
        (damage("x_train", np.zeros((0, 28, 28), np.uint8)), r"shape \(0, 28, 28\)"),
        (damage("y_train", np.eye(2, dtype=np.uint8)), r"y_train has shape \(2, 2\)"),
        (damage("y_test", np.array([{"a": 1}, 2], dtype=object)), "y_test has dtype object"),
        (damage("y_train", np.zeros(3, np.uint8)), "2 images for 3 labels"),
        ({"images": np.zeros(3)}, r"x_train is missing; the file holds images\.npy"),
    ],
)
def test_npz_of_other_arrays_is_refused(
    tmp_path: Path, members: dict[str, object], message: str
) -> None:
    np.savez(tmp_path / "mnist.npz", **members)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=message) as caught:
        dataset.read_arrays(tmp_path / "mnist.npz")
    assert "\n" not in str(caught.value)


def npy(shape: object) -> bytes:
    """An npy file with this shape in its header and the data of two images."""
    text = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(2 * 784)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**9, 28, 28), "more than 100,000,000 bytes"),
        ((2**63, 28, 28), "more than 100,000,000 bytes"),
        # As a product of 64 bits it would be small.
        ((2**64 + 2, 28, 28), "more than 100,000,000 bytes"),
        ((-2, 28, 28), r"shape \(-2, 28, 28\)"),
        ((2, -28, -28), r"shape \(2, -28, -28\)"),
        ((True, 28, 28), "holds more of 784 bytes"),
        ((2.0, 28, 28), "shape is not valid"),
        ((), r"shape \(\)"),
    ],
)
def test_npz_whose_header_lies_is_not_loaded(shape: object, message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive:
        archive.writestr("x_train.npy", npy(shape))
    with pytest.raises(DatasetError, match=message):
        dataset.read_arrays(tmp_path / "mnist.npz")


@pytest.mark.parametrize("name", ["../x_train.npy", "/x_train.npy", "x_train.npy/", "X_TRAIN.npy"])
def test_npz_has_no_paths(name: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / "mnist.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, npy((2, 28, 28)))
    with pytest.raises(DatasetError, match="x_train is missing; the file holds"):
        dataset.read_arrays(path)
    assert [one.name for one in tmp_path.rglob("*")] == ["in", "mnist.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_with_a_name_twice_is_read_by_its_last_one(tiny: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    dataset.write_arrays(path, tiny)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", npy((2, 28, 28)))
    with pytest.raises(DatasetError, match="2 images for 12 labels"):
        dataset.read_arrays(path)


def test_npz_whose_inflation_has_no_bound_is_refused(tiny: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, key in KERAS_KEYS.items():
            content = io.BytesIO()
            np.save(content, getattr(tiny, name))
            archive.writestr(f"{key}.npy", content.getvalue())
    with pytest.raises(DatasetError, match="compressed in a way that numpy doesn't write"):
        dataset.read_arrays(path)


@pytest.mark.parametrize(
    "header",
    ["-" * 9000 + "1", "{'descr': ('|u1',), 'fortran_order': 0, 'shape': (1,)}", "{[]: 1}"],
)
def test_npy_header_that_is_no_dict_of_its_kind_is_told(header: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"
    text = header.encode()
    with zipfile.ZipFile(path, "w") as archive:
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        archive.writestr("x_train.npy", npy)
    with pytest.raises(DatasetError, match="can't be read") as error:
        dataset.read_arrays(path)
    assert "\n" not in str(error.value)


def test_npy_header_that_is_cut_is_told(tmp_path: Path) -> None:
    text = b"{'descr': '|u1', 'shape': (2, 28"
    content = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    with zipfile.ZipFile(tmp_path / "mnist.npz", "w") as archive:
        archive.writestr("x_train.npy", content)
    with pytest.raises(DatasetError, match="x_train can't be read"):
        dataset.read_arrays(tmp_path / "mnist.npz")


def test_missing_and_truncated_files_are_told(tiny: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    with pytest.raises(DatasetError, match=r"mnist\.npz is missing"):
        dataset.read_arrays(path)
    dataset.write_arrays(path, tiny)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="can't be read"):
        dataset.read_arrays(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_bytes_are_refused_or_harmless(
    data: st.DataObject, tiny: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "mnist.npz"
    members = {key: getattr(tiny, name) for name, key in KERAS_KEYS.items()}
    np.savez_compressed(path, **members)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, 2 * len(content)))])
    try:
        arrays = dataset.read_arrays(path)
    except DatasetError:
        return
    # zip's checksums cover the data, so what can still be read is what was written.
    assert_equal(arrays, tiny)


@given(labels=labels_strategy, data=st.data())
def test_splits_part_the_images_in_exact_numbers_by_class(
    labels: np.ndarray, data: st.DataObject
) -> None:
    validation = data.draw(st.integers(1, len(labels) - 2))
    gate = data.draw(st.integers(1, len(labels) - 1 - validation))
    parts = dataset.split(numbered(labels), 7, validation, gate)

    assert (len(parts.validation.labels), len(parts.gate.labels)) == (validation, gate)
    everything = numbers(parts.train) + numbers(parts.validation) + numbers(parts.gate)
    assert sorted(everything) == list(range(len(labels)))
    for part in (parts.train, parts.validation, parts.gate):
        assert part.labels.tolist() == labels[numbers(part)].tolist()
    shares = np.bincount(labels, minlength=10) / len(labels)
    counts = np.bincount(parts.validation.labels, minlength=10)
    assert np.all(np.abs(counts - validation * shares) < 1)


def test_splits_depend_on_their_seed_alone(small_arrays: Arrays) -> None:
    def train(seed: int) -> bytes:
        return dataset.split(small_arrays, seed, 500, 100).train.images.tobytes()

    assert train(1) == train(1)
    assert train(1) != train(2)


def test_splits_must_leave_images_to_train_on(tiny: Arrays) -> None:
    with pytest.raises(DatasetError, match="is 12 of 12 training images"):
        dataset.split(tiny, 0, 10, 2)


def test_splits_file_gives_back_the_splits(small_arrays: Arrays, tmp_path: Path) -> None:
    parts = dataset.split(small_arrays, 0, 500, 100)
    dataset.write_splits(tmp_path / "splits.npz", parts)
    again = dataset.read_splits(tmp_path / "splits.npz")
    for name in dataset.SPLIT_NAMES:
        assert np.array_equal(getattr(again, name).images, getattr(parts, name).images)
        assert np.array_equal(getattr(again, name).labels, getattr(parts, name).labels)


def test_reading_one_split_needs_no_other(tmp_path: Path) -> None:
    images, labels = np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8)
    np.savez(tmp_path / "splits.npz", validation_images=images, validation_labels=labels)
    part = dataset.read_split(tmp_path / "splits.npz", "validation")
    assert part.labels.tolist() == [0, 1, 2]
    with pytest.raises(DatasetError, match="gate_images is missing"):
        dataset.read_split(tmp_path / "splits.npz", "gate")


@pytest.mark.parametrize("name", dataset.SPLIT_NAMES)
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_digest_covers_all_that_a_run_sees(
    small_splits: Path, tmp_path: Path, name: str, kind: str
) -> None:
    with np.load(small_splits) as file:
        members = dict(file)
    members[f"{name}_{kind}"][0] += 1
    np.savez(tmp_path / "splits.npz", **members)
    same = dataset.splits_digest(tmp_path / "splits.npz") == dataset.splits_digest(small_splits)
    assert same == (name == "gate")


@given(labels=labels_strategy, count=st.integers(1, 500))
def test_sample_keeps_the_shares_of_the_classes(labels: np.ndarray, count: int) -> None:
    sample = dataset.stratified_sample(labels, count)
    assert len(sample) == min(count, len(labels))
    assert sample.tolist() == sorted(set(sample.tolist()))
    shares = np.bincount(labels, minlength=10) / len(labels)
    counts = np.bincount(labels[sample], minlength=10)
    assert np.all(np.abs(counts - len(sample) * shares) < 1)


def test_real_mnist_has_its_digests(mnist_path: Path) -> None:
    arrays = dataset.read_arrays(mnist_path)
    assert arrays.train_images.shape == (60_000, 28, 28)
    assert arrays.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
