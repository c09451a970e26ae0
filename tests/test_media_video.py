"""Films: pictures at the right time, from any container, and bad ones refused with a code."""

import io
import resource
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from making import counting, edit_boxes, encode, encode_av, film, index_first, tone, turned

from affectus.errors import ConfigError, LimitError, MediaError
from affectus.media import (
    Frame,
    Limits,
    Shown,
    compare_streams,
    cut_frames,
    encode_png,
    open_video,
    read_audio,
)


def watch(source, rate=15.0, **options):
    """The frames of a film with their shades, and the film after it was seen."""
    with open_video(source, **({"name": "talk.mp4", "rate": rate} | options)) as video:
        frames = [(frame.time, frame.shown, number_of(frame)) for frame in video]
    return frames, video


def number_of(frame):
    """Which picture of `counting` it is: its shade is 20 + 4n."""
    return round((float(frame.colour[20:28, 28:36].mean()) - 20) / 4)


def refusal(source, **options):
    with pytest.raises(MediaError) as caught:
        watch(source, **options)
    assert str(caught.value).isprintable()
    return caught.value


def codes(video):
    return [warning.code for warning in video.warnings]


# --- every picture at its time -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("mov", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("flv", "flv"),
     ("webm", "libvpx")],
)  # fmt: skip
def test_every_picture_of_every_container_is_counted_once(container, codec):
    frames, video = watch(film(counting(30), container, codec), rate=None)
    assert video.n_frames == len(frames) == 30
    assert [round(time * 30) for time, _, _ in frames] == list(range(30))
    assert np.abs(np.array([number for *_, number in frames]) - np.arange(30)).max() <= 1
    assert (video.width, video.height) == (64, 48)
    assert video.warnings == []


def test_a_film_of_30_is_seen_15_times_a_second_at_exact_times():
    frames, _ = watch(film(counting(30)))
    assert [time for time, _, _ in frames] == [k / 15 for k in range(15)]
    assert [number for *_, number in frames] == list(range(0, 30, 2))


def test_a_slow_film_shows_each_picture_until_the_next():
    frames, _ = watch(film(counting(5), rate=5))
    assert [time for time, _, _ in frames] == [k / 15 for k in range(15)]
    # The nearest where one is within half a step, and here each is at a step of its own.
    assert [number for *_, number in frames] == [k // 3 for k in range(15)]


def test_of_a_film_without_a_steady_rate_what_is_seen_is_what_was_shown():
    times = [0, 33, 66, 400, 1500, 1533]
    frames, _ = watch(film(counting(6), "matroska", times=times))
    for time, shown, number in frames:
        assert shown == pytest.approx(times[number] / 1000, abs=1e-6)
        # Nothing is shown before its time, but for half a step of 1/15 s; and the latest is.
        assert shown <= time + 0.5 / 15 + 1e-6
        assert all(not shown < other / 1000 <= time for other in times)
    assert frames[-1][2] == 5


def test_a_flv_is_counted_by_its_packets_not_by_its_rate():
    # As CREMA-D's: 33 and 34 ms by turns, the first at 27 ms, and a rate in the header besides.
    times = [27 + round(k * 100 / 3) for k in range(60)]
    data = film(counting(60), "flv", "flv", times=times, sound=tone(2.0))
    frames, video = watch(data, rate=None)
    assert video.n_frames == 60
    # FFmpeg's writer puts the sound's priming before zero, and all else as much later.
    assert (
        np.diff([round(1000 * time) for time, _, _ in frames]).tolist() == np.diff(times).tolist()
    )
    frames, _ = watch(data)
    assert len(frames) in (30, 31)
    assert np.diff([time for time, _, _ in frames]) == pytest.approx(1 / 15)
    assert max(abs(time - shown) for time, shown, _ in frames) <= 0.5 / 15


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_film_held_sideways_is_turned_upright(degrees):
    picture = np.full((48, 64, 3), 60, np.uint8)
    picture[:12, :16] = 220  # at the top left, as stored
    corner = {90: (0, -1), 180: (-1, -1), 270: (-1, 0)}[degrees]
    with open_video(turned(film([picture] * 5), degrees)) as video:
        frame = next(iter(video))
    for image in (frame.luma, frame.colour[:, :, 1]):
        assert image.shape == ((64, 48) if degrees in (90, 270) else (48, 64))
        assert image[corner] > 180
        assert sum(int(image[c]) > 150 for c in ((0, 0), (0, -1), (-1, 0), (-1, -1))) == 1


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv444p", "rgb24", "yuv420p10le"])
def test_luma_and_its_range_give_the_grey_of_the_picture(form):
    # Grey of RGB (200, 120, 40) by ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B = 134.8.
    picture = np.broadcast_to(np.array([200, 120, 40], np.uint8), (48, 64, 3))
    codec = {"rgb24": "png", "yuvj420p": "mjpeg"}.get(form, "ffv1")
    data = film([np.ascontiguousarray(picture)] * 3, "avi", codec, form=form)
    with open_video(data) as video:
        frame = next(iter(video))
        black, white = frame.luma_range
        grey = (frame.luma.astype(float) - black) * 255 / (white - black)
    assert grey.mean() == pytest.approx(134.8, abs=3)
    assert np.abs(frame.colour.mean((0, 1)) - [200, 120, 40]).max() < 5


def test_a_picture_in_memory_is_a_frame():
    colours = np.zeros((10, 20, 3), np.uint8)
    colours[:, :, 0] = 200
    frame = Frame(0.5, colours)
    assert frame.luma.shape == (10, 20)
    assert frame.luma[0, 0] == round(0.299 * 200)
    assert frame.luma_range == (0, 255)
    assert np.array_equal(frame.colour, colours)
    assert Frame(0.0, frame.luma).colour.shape == (10, 20, 3)


def test_a_large_picture_is_made_smaller():
    data = film([np.zeros((1440, 2560, 3), np.uint8)] * 2, "avi", "mjpeg", form="yuvj420p")
    with open_video(data) as video:
        frame = next(iter(video))
    height, width = frame.luma.shape
    assert width * height <= 1920 * 1080
    assert width / height == pytest.approx(2560 / 1440, rel=0.01)


def test_a_stretch_of_a_film_is_cut_by_its_times():
    with open_video(film(counting(30))) as video:
        frames = list(cut_frames(video, 0.2, 0.6))
    assert [frame.time for frame in frames] == [k / 15 for k in range(3, 9)]
    assert video.n_frames == 30  # all of it was seen: whether it is whole is known


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"rate is 0 pictures a second; expected 0\.1 to 240"):
        watch(film(counting(3)), rate=0)


def test_a_picture_is_written_as_png():
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    data = encode_png(image)
    assert data.startswith(b"\x89PNG")
    with av.open(io.BytesIO(data)) as media:
        assert np.array_equal(next(media.decode(video=0)).to_ndarray(format="gray"), image)


# --- sound and picture -------------------------------------------------------------------------


def test_sound_and_picture_are_on_one_clock():
    data = film(counting(30), sound=tone(1.0))
    _, video = watch(data)
    assert video.picture == pytest.approx((0.0, 1.0), abs=0.01)
    assert video.sound == pytest.approx((0.0, read_audio(data).duration), abs=0.1)
    assert video.warnings == []


@pytest.mark.parametrize(("late", "seconds"), [(0.0, 3.0), (0.5, 0.5), (0.0, 0.5)])
def test_streams_more_than_a_fifth_of_a_second_apart_are_reported(late, seconds):
    _, video = watch(film(counting(30), "matroska", sound=tone(seconds), late=late))
    assert codes(video) == ["W1701"]
    assert "apart" in video.warnings[0].text


def test_streams_within_a_fifth_of_a_second_are_not_reported():
    sound = Shown(0.0, 2.0)
    assert compare_streams(sound, Shown(0.15, 2.15)) is None
    assert compare_streams(sound, Shown(0.0, 2.25)).code == "W1701"
    assert compare_streams(None, sound) is None


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [encode(tone()), encode_av(tone(), "mp4", "aac"), encode_av(tone(), "adts", "aac")],
    ids=["wav", "m4a", "aac"],
)
def test_sound_alone_has_no_pictures(data):
    error = refusal(data)
    assert error.code == "E1602"
    assert "no video stream" in error.text


def test_the_cover_of_an_album_is_no_film():
    cover = film(counting(1), "matroska", "mjpeg", form="yuvj420p")
    with av.open(io.BytesIO(cover)) as media:
        packet = next(media.demux(video=0))
        jpeg = bytes(packet)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as media:
        sound = media.add_stream("aac", rate=16_000)
        picture = media.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        heard = av.AudioFrame.from_ndarray(tone().reshape(1, -1), format="flt", layout="mono")
        heard.sample_rate = 16_000
        fit = av.AudioResampler(sound.format, "mono", 16_000, frame_size=1024)
        for piece in [*fit.resample(heard), *fit.resample(None), None]:
            media.mux(sound.encode(piece))
        packet = av.Packet(jpeg)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        packet.time_base = Fraction(1, 1)
        media.mux(packet)
    assert refusal(file.getvalue()).code == "E1602"


def test_a_film_without_sound_has_pictures_but_no_voice():
    data = film(counting(30))
    assert watch(data)[1].sound is None
    with pytest.raises(MediaError, match=r"E1601 'bytes': no audio stream"):
        read_audio(data)


def test_one_picture_is_a_film_of_one_frame():
    frames, video = watch(film(counting(1)))
    assert len(frames) == video.n_frames == 1


def test_a_picture_of_16384_pixels_is_refused_before_it_is_decoded():
    # The header of raw pictures in AVI (BITMAPINFOHEADER): width and height behind `strf`.
    data = film(counting(3), "avi", "rawvideo")
    at = data.index(b"strf") + 12
    assert struct.unpack("<II", data[at : at + 8]) == (64, 48)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refusal(data[:at] + struct.pack("<II", 16_384, 16_384) + data[at + 8 :])
    assert isinstance(error, LimitError)
    assert error.code == "E1502"
    assert "pictures of too many pixels; the limit is 9,437,184" in error.text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_picture_beyond_the_limit_is_told_by_its_size():
    error = refusal(film(counting(3)), limits=Limits(max_pixels=3_000))
    assert error.code == "E1502"
    assert error.exit_code == 4


def test_a_picture_that_is_larger_than_its_header_says_is_not_decoded():
    data = film(counting(3), "avi", "mjpeg", form="yuvj420p")
    start_of_frame = b"\xff\xc0\x00\x11\x08"  # ISO/IEC 10918-1, B.2.2: then height and width
    small = start_of_frame + struct.pack(">HH", 48, 64)
    assert small in data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refusal(data.replace(small, start_of_frame + struct.pack(">HH", 16_384, 16_384)))
    assert error.code in ("E1402", "E1502")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_million_pictures_a_second_are_refused():
    fast = film(counting(100) * 6, rate=30)
    assert watch(fast)[1].n_frames == 600
    # The media's time scale, in `mdhd` (ISO/IEC 14496-12, 8.4.2): a picture is now a microsecond.
    header = [b"moov", b"trak", b"mdia", b"mdhd"]
    fast = edit_boxes(fast, header, lambda c: c[:12] + struct.pack(">I", 512_000_000) + c[16:])
    error = refusal(fast)
    assert isinstance(error, LimitError)
    assert error.code == "E1502"
    assert "the limit is 240 a second" in error.text


def test_a_film_that_is_too_long_is_refused():
    times = [0, 1_000, 700_000]
    error = refusal(film(counting(3), "matroska", times=times))
    assert isinstance(error, LimitError)
    assert "pictures up to 700 s; the limit is 600 s" in error.text
    frames, _ = watch(
        film(counting(3), "matroska", times=times), rate=1.0, limits=Limits(max_seconds=800)
    )
    assert len(frames) >= 700


def test_a_film_cut_before_its_index_is_refused():
    data = film(counting(30), sound=tone())
    error = refusal(data[: len(data) // 2])  # the index of an mp4 stands behind its pictures
    assert error.code == "E1402"
    assert "expected readable mp4" in error.text


@pytest.mark.parametrize(("container", "codec"), [("flv", "flv"), ("matroska", "mpeg4")])
def test_a_film_cut_in_its_pictures_is_answered_with_a_warning(container, codec):
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    data = film(list(noise), container, codec)
    _, video = watch(data[: len(data) // 2])
    assert "W1101" in codes(video)
    assert 10 < video.n_frames < 50


def test_a_film_with_its_index_first_that_was_cut_says_so():
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    data = index_first(film(list(noise)))
    assert data.index(b"moov") < data.index(b"mdat")
    _, video = watch(data[: len(data) // 2])
    assert "W1101" in codes(video)
    assert "of 60 pictures" in next(w.text for w in video.warnings if w.code == "W1101")


def test_damaged_pictures_are_passed_over_and_counted():
    data = bytearray(film(counting(20), "avi", "png", form="rgb24"))
    places = [at for at in range(len(data)) if data[at : at + 4] == b"IDAT"]
    for at in places[5:8]:
        data[at : at + 4] = b"XXXX"
    frames, video = watch(bytes(data), rate=None)
    assert codes(video) == ["W1402"]
    assert "3 pictures" in video.warnings[0].text
    assert len(frames) == video.n_frames == 17


def test_a_playlist_named_as_a_film_is_not_followed(tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(film(counting(3)))
    assert refusal(f"#EXTM3U\n#EXTINF:2,\nfile://{other}\n".encode()).code == "E1002"


def test_a_long_film_costs_no_more_memory_than_a_short_one():
    # 600 pictures of 640 x 480 are 276 MB if they are all kept.
    data = film([np.zeros((480, 640, 3), np.uint8)] * 600, rate=30)
    with open_video(data) as video:
        frames = iter(video)
        for _ in range(30):
            next(frames)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert sum(1 for _ in frames) == 270
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
