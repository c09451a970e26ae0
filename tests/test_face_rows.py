"""The rows of a face set: what is masked stays masked, in numbers and in bytes."""

import numpy as np
import pytest

from affectus.face_rows import FOUND, INFO, TIME, holds_faces, join_rows, read_rows, split_rows


def info(found):
    """Rows of INFO: where a frame is masked all is NaN but found, time, and n_faces."""
    rows = np.full((len(found), len(INFO)), np.nan, np.float32)
    rows[:, FOUND] = found
    rows[:, TIME] = np.arange(len(found)) / 15
    rows[:, INFO.index("n_faces")] = 1
    rows[np.array(found) == 1] = np.nan_to_num(rows[np.array(found) == 1], nan=0.25)
    return rows


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_rows_come_back_as_they_were(kind):
    head = info([1, 0, 1])
    values = np.arange(12).reshape(3, 4).astype(kind)
    rows = join_rows(head, values)
    assert rows.dtype == kind
    parts = split_rows(rows)
    np.testing.assert_array_equal(parts.info, head)
    np.testing.assert_array_equal(parts.values, values)
    assert parts.found.tolist() == [True, False, True]
    assert parts.times.tolist() == pytest.approx([0, 1 / 15, 2 / 15])


def test_a_masked_picture_is_no_number():
    rows = join_rows(info([1, 0]), np.array([[7, 8], [0, 0]], np.uint8))
    numbers = read_rows(rows)
    assert numbers.dtype == np.float32
    assert numbers[0, len(INFO) :].tolist() == [7, 8]
    assert np.isnan(numbers[1, len(INFO) :]).all()
    assert numbers[1, FOUND] == 0


def test_no_rows_are_rows():
    for kind in (np.uint8, np.float32):
        rows = join_rows(np.zeros((0, len(INFO)), np.float32), np.zeros((0, 4), kind))
        assert split_rows(rows).values.shape == (0, 4)
        assert read_rows(rows).shape == (0, len(INFO) + 4)


def test_a_face_set_is_told_by_its_record():
    assert holds_faces({"name": "face_crops"})
    assert holds_faces({"name": "face_embedding"})
    assert not holds_faces({"name": "logmel"})
    assert not holds_faces({"kind": "imported"})
