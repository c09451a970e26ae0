"""Faces: found, followed, turned upright, cut out; and what is masked where there is none.

The faces are drawn (affectus.synthesis.face); where they are is known because it is said here.
"""

import errno
import hashlib
import sys
import tracemalloc
from itertools import product

import numpy as np
import onnx
import pytest
from making import film, tone
from onnx import TensorProto, helper

from affectus.cli import run
from affectus.emotions import EMOTIONS
from affectus.errors import ConfigError, DiskError, MediaError, ModelError
from affectus.extraction import extract_features
from affectus.face_rows import INFO, read_rows, split_rows
from affectus.features import create_extractor, describe_extractor, restore_extractor, sees
from affectus.features.face import find_faults
from affectus.features.face.crops import crop_face, measure_blur
from affectus.features.face.detection import Detection, HaarDetector, YuNetDetector
from affectus.features.face.networks import BLENDSHAPES
from affectus.features.face.tracking import follow_face
from affectus.manifest import Clip, Manifest, hash_file
from affectus.media import Frame, open_video
from affectus.store import FeatureStore, Spooled
from affectus.synthesis.face import draw_faces

HAAR = HaarDetector()


def person(n_frames=10, speaker=3, emotion="neutral", size=(240, 320), **options):
    """Pictures [H, W, 3] of a person."""
    frames = draw_faces(emotion, n_frames, speaker=speaker, size=size, **options)
    return [frame.colour for frame in frames]


def frames_of(pictures, rate=15.0):
    return [Frame(number / rate, picture) for number, picture in enumerate(pictures)]


def follow(pictures, every=5):
    return list(follow_face(frames_of(pictures), HAAR, every))


def blank(height=240, width=320):
    return np.full((height, width, 3), 120, np.uint8)


def beside(left, right):
    return np.hstack([left, right])


# --- found -------------------------------------------------------------------------------------


def test_a_drawn_face_is_found_in_nearly_every_frame():
    n, there = 0, 0
    for speaker, emotion in product(range(3), EMOTIONS):
        found = follow(person(4, speaker, emotion, size=(144, 192)), every=2)
        n += len(found)
        there += sum(one.face is not None for one in found)
    assert there >= 0.95 * n


def test_where_there_is_no_face_none_is_found():
    noise = np.random.default_rng(0).integers(0, 255, (6, 240, 320, 3), np.uint8)
    for pictures in ([blank()] * 6, list(noise)):
        assert all(one.face is None and one.n_faces == 0 for one in follow(pictures))


def test_a_face_is_where_it_was_put():
    canvas = np.full((480, 640, 3), 120, np.uint8)
    picture = person(1)[0]
    (here,) = HAAR.find(Frame(0, picture).luma)
    canvas[200:440, 250:570] = picture
    (there,) = HAAR.find(Frame(0, canvas).luma)
    assert (there.x - here.x, there.y - here.y) == pytest.approx((250, 200), abs=12)
    assert there.width == pytest.approx(here.width, rel=0.12)
    assert 0 < there.confidence < 1


def test_the_frame_may_have_any_size():
    import cv2

    picture = person(6)
    small = follow(picture)[-1].face
    large = follow([cv2.resize(image, (1280, 960)) for image in picture])[-1].face
    assert (large.x, large.y, large.width) == pytest.approx(
        (4 * small.x, 4 * small.y, 4 * small.width), rel=0.06
    )


@pytest.mark.parametrize("angle", [-12, -6, 6, 12])
def test_a_leaning_head_is_turned_upright(angle):
    import cv2

    upright = person(1, 3)[0]
    turn = cv2.getRotationMatrix2D((160, 120), -angle, 1)  # OpenCV turns counter-clockwise
    leaning = cv2.warpAffine(upright, turn, (320, 240), borderMode=cv2.BORDER_REPLICATE)
    faces = []
    for picture in (upright, leaning):
        grey = Frame(0, picture).luma
        (face,) = HAAR.find(grey)
        faces.append(HAAR.find_roll(grey, face))
    assert faces[1].roll - faces[0].roll == pytest.approx(angle, abs=2.5)
    # Cut out, the two are alike; without turning back they are not.
    crops = [
        crop_face(Frame(0, picture), face, 112)
        for picture, face in ((upright, faces[0]), (leaning, faces[1]))
    ]
    askew = crop_face(Frame(0, leaning), Detection(faces[1].x, faces[1].y, faces[1].width, 1), 112)
    if abs(angle) > 10:
        assert alike(crops[0], crops[1]) > alike(crops[0], askew)


def alike(one, other):
    return np.corrcoef(one.astype(float).ravel(), other.astype(float).ravel())[0, 1]


# --- followed ----------------------------------------------------------------------------------


def test_a_face_that_moves_is_tracked_between_detections():
    picture = np.pad(person(1)[0], ((0, 0), (60, 60), (0, 0)), mode="edge")
    moved = [np.roll(picture, 3 * k, axis=1) for k in range(10)]
    detected = follow(moved, every=1)
    tracked = follow(moved, every=10)
    steps = np.diff([one.face.x for one in tracked])
    assert steps == pytest.approx([3] * 9, abs=1)
    assert tracked[-1].face.x == pytest.approx(detected[-1].face.x, abs=6)


def test_the_largest_is_followed_and_kept_although_another_becomes_larger():
    import cv2

    near, far = person(1, 3)[0], person(1, 5)[0]
    small = cv2.copyMakeBorder(cv2.resize(far, (200, 150)), 45, 45, 60, 60, cv2.BORDER_REPLICATE)
    pictures = [beside(near, small)] * 6 + [beside(cv2.resize(near, (320, 240)), far)] * 12
    found = follow(pictures)
    assert [one.face.x < 320 for one in found] == [True] * 18
    assert found[0].n_faces == 2


def test_a_face_that_is_gone_is_masked_and_found_again():
    pictures = [*person(10)[:5], *[blank()] * 7, *person(10)]
    found = [one.face is not None for one in follow(pictures)]
    assert found[:5] == [True] * 5
    assert found[5:12] == [False] * 7
    assert found[-5:] == [True] * 5


def test_the_person_who_is_waited_for_is_not_replaced_at_once():
    one, other = person(1, 3)[0], person(1, 5)[0]
    pictures = [beside(one, blank())] * 5 + [beside(blank(), other)] * 30
    found = follow(pictures)
    assert [f.face is None for f in found[5:15]] == [True] * 10
    assert found[-1].face.x > 320  # after a second the other is taken


# --- cut out -----------------------------------------------------------------------------------


def test_a_crop_has_its_size_and_all_of_the_greys():
    frame = Frame(0, person(1)[0])
    (face,) = HAAR.find(frame.luma)
    assert crop_face(frame, face, 112).shape == (112, 112)
    assert crop_face(frame, face, 64, colour=True).shape == (64, 64, 3)


def test_a_film_of_a_narrow_range_gives_the_greys_of_the_picture():
    pictures = person(3)
    with open_video(film(pictures, "avi", "ffv1")) as video:
        stored = next(iter(video))
    assert stored.luma_range == (16, 235)
    frame = Frame(0, pictures[0])
    (face,) = HAAR.find(frame.luma)
    difference = crop_face(stored, face, 112).astype(int) - crop_face(frame, face, 112)
    assert np.abs(difference).mean() < 2


def test_a_crop_beyond_the_edge_repeats_the_edge():
    crop = crop_face(Frame(0, blank()), Detection(0, 0, 100, 1), 112)
    assert (crop == crop[0, 0]).all()


def test_blur_grows_with_blur():
    import cv2

    board = np.kron(np.indices((7, 7)).sum(axis=0) % 2, np.ones((16, 16)))
    crop = (40 + 170 * board).astype(np.uint8)
    values = [measure_blur(cv2.GaussianBlur(crop, (0, 0), s)) for s in (0.5, 1, 2, 4)]
    assert values == sorted(values)
    assert 0 <= values[0] < 0.4 and 0.6 < values[-1] <= 1
    assert measure_blur(np.full((112, 112), 9, np.uint8)) == 1.0


# --- rows --------------------------------------------------------------------------------------


def test_face_crops_are_rows_of_bytes():
    extractor = create_extractor("face_crops", size=32)
    assert sees(extractor)
    rows = extractor(frames_of([*person(5), blank(), *person(5)]))
    assert rows.dtype == np.uint8
    parts = split_rows(rows)
    assert parts.values.shape == (11, 32 * 32)
    assert len(extractor.columns) == len(INFO) + 32 * 32
    assert parts.found.tolist() == [True] * 5 + [False] + [True] * 5
    assert parts.times.tolist() == pytest.approx([k / 15 for k in range(11)])
    numbers = read_rows(rows)
    assert np.isnan(numbers[5, len(INFO) :]).all()
    assert np.isfinite(numbers[parts.found]).all()
    known = dict(zip(INFO, numbers[5, : len(INFO)], strict=True))
    assert [name for name, value in known.items() if np.isfinite(value)] == [
        "found", "time", "n_faces",
    ]  # fmt: skip
    box = numbers[0, INFO.index("x") : INFO.index("roll")]
    assert (box > 0).all() and (box < 1).all()


def test_the_same_film_gives_the_same_bytes():
    pictures = person(12)
    extractor = create_extractor("face_crops")
    assert extractor(frames_of(pictures)).tobytes() == extractor(frames_of(pictures)).tobytes()


def test_a_clip_with_few_faces_fails_or_warns_by_choice():
    frames = frames_of([*person(3), *[blank()] * 7])
    strict = create_extractor("face_crops")
    info = split_rows(strict(frames)).info
    with pytest.raises(MediaError) as caught:
        strict.expect_faces(info, "talk.mp4")
    assert str(caught.value) == (
        "MediaError E1606 'talk.mp4': a face in 30% of 10 frames; expected 50%. Leave it out, or "
        "allow it: --set few=warn"
    )
    create_extractor("face_crops", few="warn").expect_faces(info, "talk.mp4")
    create_extractor("face_crops", min_found=0.2).expect_faces(info, "talk.mp4")
    (warning,) = find_faults(info, 0.5)
    assert warning.code == "W1702"


def test_three_faces_are_told_and_one_is_followed():
    pictures = [np.hstack([a, b, c]) for a, b, c in zip(
        person(6, 1), person(6, 3), person(6, 5), strict=True)]  # fmt: skip
    rows = create_extractor("face_crops")(frames_of(pictures))
    (warning,) = find_faults(split_rows(rows).info, 0.5)
    assert warning == ("W1703", "3 faces; followed is the one that was largest at first")
    x = split_rows(rows).info[:, INFO.index("x")]
    assert np.ptp(x) < 0.05


def test_no_frames_give_no_rows():
    rows = create_extractor("face_crops")([])
    assert rows.shape[0] == 0
    assert [w.code for w in find_faults(split_rows(rows).info, 0.5)] == ["W1702"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0.0}, "face_crops: rate is 0.0; expected 0.1 to 240 frames a second"),
        ({"detect_every": 0}, "detect_every is 0; expected 1 to 100 frames"),
        ({"min_found": 2.0}, "min_found is 2.0; expected a share, 0 to 1"),
        ({"few": "skip"}, "few is skip; expected fail or warn"),
        ({"size": 8}, "size is 8; expected 16 to 512 pixels"),
        ({"detector": "none.onnx"}, "none.onnx: no such file or directory; expected a model"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ConfigError) as caught:
        create_extractor("face_crops", **settings)
    assert words in caught.value.message


# --- networks of the user's --------------------------------------------------------------------


def tiny(path, n_columns, *, first=True, size=8, batch="N", inputs=None, n_in=None):
    """A network of the given shapes whose answer is linear in its input's mean."""
    shape = inputs or ([batch, 3, size, size] if first else [batch, size, size, 3])
    axes = list(range(1, len(shape)))
    weights = np.linspace(1, 2, n_columns, dtype=np.float32)[None]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=axes, keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
            helper.make_node("MatMul", ["column", "w"], ["y"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, n_columns])],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "n_columns", "first", "size", "batch"),
    [("facenet", 512, True, 160, "N"), ("vggface", 4096, False, 224, "N"),
     ("facenet", 512, True, 160, 1)],
)  # fmt: skip
def test_a_face_network_of_the_users_gives_its_vectors(
    tmp_path, kind, n_columns, first, size, batch
):
    file = tiny(tmp_path / "net.onnx", n_columns, first=first, size=size, batch=batch)
    extractor = create_extractor("face_embedding", kind=kind, model=file)
    assert extractor.parameters()["model_sha256"] == hash_file(tmp_path / "net.onnx")
    assert len(extractor.columns) == len(INFO) + n_columns
    pictures = [*person(3), blank(), *person(3)]
    rows = extractor(frames_of(pictures))
    assert rows.dtype == np.float32
    parts = split_rows(rows)
    assert parts.values.shape == (7, n_columns)
    assert np.isnan(parts.values[3]).all() and np.isfinite(parts.values[parts.found]).all()
    # The network answers weight times the mean of what it was shown: FaceNet's is of
    # (value - 127.5) / 128, VGG-Face's answer is made one long.
    vector = parts.values[0]
    if kind == "vggface":
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    else:
        face = follow(pictures)[0].face
        crop = crop_face(Frame(0, pictures[0]), face, size, colour=True)
        mean = (crop.astype(float).mean() - 127.5) / 128
        assert vector == pytest.approx(mean * np.linspace(1, 2, n_columns), abs=1e-3)
    assert "knows speakers at once" in extractor.cautions[0]


def test_blendshapes_are_read_from_landmarks(tmp_path):
    landmarks = tiny(tmp_path / "landmarks.onnx", 1434, first=False, size=256, batch=1)
    shapes = tiny(tmp_path / "shapes.onnx", 52, inputs=[1, 146, 2])
    extractor = create_extractor(
        "face_embedding", kind="blendshapes", model=shapes, landmarks=landmarks
    )
    assert extractor.columns[len(INFO) :] == BLENDSHAPES
    assert len(set(BLENDSHAPES)) == 52
    rows = split_rows(extractor(frames_of(person(2))))
    assert rows.values.shape == (2, 52)
    assert np.isfinite(rows.values).all()
    assert extractor.cautions == ()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ConfigError, "kind is ''; expected facenet, vggface, blendshapes"),
        ({"kind": "facenet"}, ConfigError, "no model; expected it: --model FILE.onnx"),
        ({"kind": "blendshapes", "model": "{512}"}, ConfigError, "no landmarks; expected it"),
        ({"kind": "facenet", "model": "{512}", "landmarks": "{512}"}, ConfigError,
         "expected none for facenet"),
        ({"kind": "vggface", "model": "{512}"}, ModelError, "gives 512 values; expected the 4096"),
        ({"kind": "facenet", "model": "{text}"}, ModelError, "expected a model in ONNX"),
        ({"kind": "facenet", "model": "{flat}"}, ModelError, "expected colour pictures"),
        ({"kind": "facenet", "model": "{512}", "model_sha256": "ab" * 32}, ConfigError,
         "which the features were made with"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_is_refused(tmp_path, options, error, words):
    files = {
        "{512}": tiny(tmp_path / "net.onnx", 512, size=16),
        "{flat}": tiny(tmp_path / "flat.onnx", 512, inputs=["N", 40]),
        "{text}": str(tmp_path / "text.onnx"),
    }
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(error) as caught:
        create_extractor("face_embedding", **{k: files.get(v, v) for k, v in options.items()})
    assert words in caught.value.message


def test_a_record_brings_the_same_features_back(tmp_path):
    file = tiny(tmp_path / "net.onnx", 512, size=16)
    for extractor in (
        create_extractor("face_crops", size=48, colour=True),
        create_extractor("face_embedding", kind="facenet", model=file),
    ):
        assert restore_extractor(describe_extractor(extractor)) == extractor


def yunet(path):
    """A network with YuNet's outputs: one face, in the middle of the picture, sure of it.

    Source of the shapes: OpenCV's face_detect.cpp (strides 8, 16, 32; cls, obj, bbox, kps).
    """
    nodes, outputs, constants = [], [], []
    for stride in (8, 16, 32):
        nodes.append(
            helper.make_node("AveragePool", ["input"], [f"p{stride}"], kernel_shape=[stride] * 2,
                             strides=[stride] * 2)
        )  # fmt: skip
        for name, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            key = f"{name}_{stride}"
            weights = np.zeros((n, 3, 1, 1), np.float32)
            bias = np.zeros(n, np.float32)
            if name == "bbox":
                bias[:] = (0.5, 0.5, np.log(80 / stride), np.log(80 / stride))
            if name == "kps":
                bias[:4] = (-1.0, 0.0, 2.0, 0.5)  # right eye, left eye
            if name in ("cls", "obj") and stride == 16:
                weights[:, 0] = 1 / 255  # as bright as the picture is
            constants += [
                helper.make_tensor(f"w{key}", TensorProto.FLOAT, weights.shape, weights.ravel()),
                helper.make_tensor(f"b{key}", TensorProto.FLOAT, bias.shape, bias),
            ]
            nodes += [
                helper.make_node("Conv", [f"p{stride}", f"w{key}", f"b{key}"], [f"c{key}"]),
                helper.make_node("Transpose", [f"c{key}"], [f"t{key}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t{key}", f"s{n}"], [key]),
            ]
            outputs.append(helper.make_tensor_value_info(key, TensorProto.FLOAT, [1, "n", n]))
    constants += [helper.make_tensor(f"s{n}", TensorProto.INT64, [3], [1, -1, n])
                  for n in (1, 4, 10)]  # fmt: skip
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 320, 320])]
    graph = helper.make_graph(nodes, "yunet", inputs, outputs, constants)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path
    )
    return path


def test_a_yunet_model_finds_faces(tmp_path):
    grey = np.zeros((240, 320), np.uint8)
    grey[96:112, 160:176] = 255  # one cell of stride 16: row 6, column 10
    (face,) = YuNetDetector(yunet(tmp_path / "yunet.onnx")).find(grey)
    assert (face.x, face.y, face.width) == pytest.approx((10.5 * 16, 6.5 * 16, 80), abs=1)
    assert face.confidence == pytest.approx(1, abs=0.02)
    assert face.roll == pytest.approx(np.degrees(np.arctan2(0.5, 3.0)), abs=0.5)


def test_a_detector_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match=r"text.onnx: .*; expected a YuNet model"):
        YuNetDetector(tmp_path / "text.onnx")


def test_a_detector_of_the_users_is_part_of_the_record(tmp_path):
    file = str(yunet(tmp_path / "yunet.onnx"))
    extractor = create_extractor("face_crops", detector=file)
    assert extractor.parameters()["detector_sha256"] == hash_file(tmp_path / "yunet.onnx")
    assert extractor([]).shape[0] == 0


# --- through the engine ------------------------------------------------------------------------


def clip_of(path, data, name):
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return Clip(clip_id=f"own/{name}", corpus="own", file=str(path), sha256=sha256)


def test_films_go_through_the_same_engine_store_and_ledger(tmp_path):
    pictures = person(15)
    clips = [
        clip_of(tmp_path / "a.mp4", film(pictures, rate=15, sound=tone(1.0)), "a"),
        clip_of(tmp_path / "b.avi", film(pictures, "avi", "mjpeg", form="yuvj420p", rate=15), "b"),
        clip_of(tmp_path / "c.mp4", film([blank()] * 15, rate=15), "c"),
        clip_of(tmp_path / "d.mp4", film(pictures, rate=15)[:4000], "d"),
        clip_of(tmp_path / "e.mp4", film(pictures[:1], rate=1), "e"),
    ]
    report = extract_features(
        Manifest(tuple(clips)), create_extractor("face_crops"), tmp_path / "s"
    )
    assert report.done == 2
    assert {failure.clip_id: failure.code for failure in report.failed} == {
        "own/c": "E1606", "own/d": "E1402", "own/e": "E1201",
    }  # fmt: skip
    assert report.failed[-1].reason == (
        "1 picture; expected a film of two at least. Give a longer one, or the voice alone."
    )
    with FeatureStore(tmp_path / "s") as store:
        rows = store.get("face_crops", clips[0].content_key)
        assert rows.dtype == np.uint8
        assert split_rows(rows).found.mean() > 0.9
        assert store.get("face_crops", clips[0].content_key).shape[0] == 15
    again = extract_features(Manifest(tuple(clips)), create_extractor("face_crops"), tmp_path / "s")
    assert again.new == 0


def test_a_long_film_takes_no_more_memory_than_a_short_one(tmp_path):
    long = [*person(30), *[blank()] * 6] * 25
    clip = clip_of(tmp_path / "a.mp4", film(long, rate=15), "a")
    extractor = create_extractor("face_crops", size=200)
    tracemalloc.start()
    extract_features(Manifest((clip,)), extractor, tmp_path / "s", workers=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with FeatureStore(tmp_path / "s") as store:
        rows = store.get("face_crops", clip.content_key)
    assert rows.shape == (900, 40 + 200**2)  # 36 MB
    assert peak < 12e6
    with open_video(tmp_path / "a.mp4", rate=15) as video:  # in pieces as at once
        assert extractor(video).tobytes() == rows.tobytes()


def test_a_disk_that_is_full_while_a_film_is_read_stops_the_run(tmp_path, monkeypatch):
    clip = clip_of(tmp_path / "a.mp4", film(person(15), rate=15), "a")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spooled, "append", full)
    with pytest.raises(DiskError, match="Free some space; what was committed is safe"):
        extract_features(
            Manifest((clip,)), create_extractor("face_crops"), tmp_path / "s", workers=0
        )
    assert list((tmp_path / "s").glob("*.safetensors")) == []


def test_extraction_says_what_identity_vectors_do_to_a_score(tmp_path, capsys):
    clip = clip_of(tmp_path / "a.mp4", film(person(8), rate=15), "a")
    Manifest((clip,)).write(tmp_path / "m.csv")
    model = tiny(tmp_path / "net.onnx", 512, size=16)
    command = ["extract", str(tmp_path / "m.csv"), "--store", str(tmp_path / "s"), "--features",
               "face_embedding", "--model", str(model), "--set", "kind=facenet"]  # fmt: skip
    assert run(command) == 0
    assert "caution: facenet vectors are made to tell who somebody is" in capsys.readouterr().err


def test_faces_are_described_and_shown(tmp_path, capsys):
    pictures = [*person(10), *[blank()] * 5]
    clip = clip_of(tmp_path / "a.mp4", film(pictures, rate=15), "<a>")
    extract_features(Manifest((clip,)), create_extractor("face_crops", size=32), tmp_path / "s")
    page = tmp_path / "faces.html"
    assert run(["describe", str(tmp_path / "s"), "--faces", str(page)]) == 0
    text = page.read_text("utf-8")
    assert text.count('<img src="data:image/png;base64,') >= 5
    assert text.count(': no face"></i>') >= 2
    assert "own/&lt;a&gt;" in text
    assert "img-src data:" in text and "<script" not in text
    assert "face_crops" in capsys.readouterr().out


def test_a_store_without_crops_has_no_faces_to_show(tmp_path, capsys):
    FeatureStore(tmp_path / "s", create=True).close()
    assert run(["describe", str(tmp_path / "s"), "--faces", str(tmp_path / "f.html")]) == 2
    assert "no features 'face_crops'" in capsys.readouterr().err


def test_without_opencv_the_extra_is_named(tmp_path, capsys, monkeypatch):
    clip = clip_of(tmp_path / "a.mp4", film(person(3), rate=15), "a")
    Manifest((clip,)).write(tmp_path / "m.csv")
    monkeypatch.setitem(sys.modules, "cv2", None)
    arguments = ["extract", str(tmp_path / "m.csv"), "--store", str(tmp_path / "s")]
    assert run([*arguments, "--features", "face_crops", "--workers", "0"]) == 2
    assert "pip install 'affectus[face]'" in capsys.readouterr().err
