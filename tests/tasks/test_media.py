"""Pictures, sound and documents of a task: where they come from, what is asked, what is hashed, and what bad input is told."""

import base64
import gzip
import json
import struct
import threading
import wave
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proctor import Task, load_task
from proctor.canonical import canonical_json, content_hash
from proctor.errors import DataError, TaskError
from proctor.results.columns import request_hash
from proctor.suites.generators import pictures, price_lists, tones
from proctor.suites.generators.drawing import blank, draw_shape, png
from proctor.tasks.media_type import media_type
from proctor.types import PLACE, Generate, Media, Message, Prompt


def picture(colour="red"):
    canvas = blank(8, 8)
    draw_shape(canvas, "square", (2, 2, 6, 6), colour)
    return png(canvas)


def task_of(tmp_path, rows, template="{{ photo | image }}\nWhat is it?", **keys):
    return Task(base=tmp_path, **{"task": "t", "data": rows, "prompt": template, "scoring": "exact_match"} | keys)


def asked(task, index=0):
    request = task.request(task.items[index])
    assert isinstance(request, Generate)
    return request.prompt.messages[-1]


def row(photo, **columns):
    return {"id": "a", "photo": photo, "target": "x"} | columns


# --- types by content ---


@pytest.mark.parametrize(
    ("suffix", "expected"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp")]
)
def test_a_pictures_type_is_read_off_its_bytes(tmp_path, suffix, expected):
    path = tmp_path / "x"
    Image.new("RGB", (40, 30), (9, 80, 200)).save(path, format=suffix)
    data = path.read_bytes()
    assert media_type(data) == ("image", expected)
    with pytest.raises(ValueError, match="damaged"):
        media_type(data[: len(data) // 2])


def test_sound_and_documents_are_known(tmp_path):
    sound = next(iter(tones(1, 1)))["sound"]
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 100)
    assert media_type(sound) == media_type((tmp_path / "x.wav").read_bytes()) == ("audio", "audio/wav")
    assert media_type(next(iter(price_lists(1, 1)))["document"]) == ("document", "application/pdf")
    assert media_type("Grüße".encode()) == ("document", "text/plain")
    assert media_type(b"ID3\x03rest") == media_type(b"\xff\xfb\x90\x00") == ("audio", "audio/mpeg")
    for data, said in [
        (b"", "empty"),
        (b"BM123", "BMP"),
        (b"\0\1\2\3", "none of the files known"),
        (b"PK\x03\x04", "ZIP"),
        (sound[:900], "early"),
    ]:
        with pytest.raises(ValueError, match=said):
            media_type(data)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_type_or_a_complaint(data):
    for begun in (data, b"\x89PNG\r\n\x1a\n" + data, b"RIFF" + data, b"\xff\xd8\xff" + data, b"%PDF-" + data):
        try:
            kind, name = media_type(begun)
        except ValueError as error:
            kind, name = "document", str(error).replace("is ", "/", 1)
        assert kind in ("image", "audio", "document")
        assert "/" in name


@given(st.integers(0, 400))
def test_a_png_with_one_byte_changed_is_found_out(place):
    data = bytearray(picture())
    place %= len(data)
    data[place] ^= 0x20
    try:
        found = media_type(bytes(data))
    except ValueError:
        return
    assert found != ("image", "image/png")


# --- where an object comes from ---


def test_the_same_picture_is_the_same_question_wherever_it_is(tmp_path):
    data = picture()
    for name in ("a.png", "deep/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    encoded = base64.b64encode(data).decode()
    forms = [
        "a.png",
        "deep/b.jpg",
        str(tmp_path / "a.png"),
        encoded,
        f"data:image/png;base64,{encoded}",
        {"bytes": encoded, "path": "was.png"},
        {"bytes": None, "path": "a.png"},
        {"path": "deep/b.jpg"},
    ]
    tasks = [task_of(tmp_path, [row(form)]) for form in forms]
    messages = [asked(task) for task in tasks]
    assert {message.content for message in messages} == {f"{PLACE}\nWhat is it?"}
    assert all(message.media[0].data() == data for message in messages)
    assert len({request_hash(task.request(task.items[0]), 0) for task in tasks}) == 1
    assert len({task.protocol_hash for task in tasks}) == 1
    shown = canonical_json(tasks[0].request(tasks[0].items[0])).decode()
    assert "a.png" not in shown
    assert encoded not in shown
    assert '"type":"image/png"' in shown
    assert task_of(tmp_path, [row(base64.b64encode(picture("blue")).decode())]).protocol_hash != tasks[0].protocol_hash


def test_bytes_of_a_parquet_file_as_the_hub_has_them(tmp_path):
    frame = pl.DataFrame(
        {"id": ["a", "b"], "target": ["x", "y"], "photo": [{"bytes": picture(), "path": "1.png"}, {"bytes": picture("blue"), "path": None}]}
    )
    frame.write_parquet(tmp_path / "data.parquet")
    task = task_of(tmp_path, {"files": "data.parquet"})
    assert [asked(task, i).media[0].data() for i in (0, 1)] == [picture(), picture("blue")]
    assert len({item.id: asked(task, i).media[0].sha256 for i, item in enumerate(task.items)}) == 2


def test_paths_start_from_the_task_file_or_from_the_table(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.png").write_bytes(picture())
    (tmp_path / "2.png").write_bytes(picture("blue"))
    (tmp_path / "data" / "rows.jsonl").write_text("\n".join(json.dumps(row(f"{i}.png", id=str(i))) for i in (1, 2)))
    task = task_of(tmp_path, {"files": "data/rows.jsonl"})
    assert [asked(task, i).media[0].data() for i in (0, 1)] == [picture(), picture("blue")]


class Pictures(BaseHTTPRequestHandler):
    served = []  # noqa: RUF012 - one server at a time

    def do_GET(self):
        self.served.append(self.path)
        data = picture()
        self.send_response(404 if "gone" in self.path else 200)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Pictures.served.clear()
    server = HTTPServer(("127.0.0.1", 0), Pictures)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_fetched_once_and_sent_as_bytes(tmp_path, web):
    for _ in range(2):
        task = task_of(tmp_path, [row(f"{web}/a.png")])
        assert asked(task).media[0].data() == picture()
        assert task.protocol_hash == task_of(tmp_path, [row(base64.b64encode(picture()).decode())]).protocol_hash
    assert Pictures.served == ["/a.png"]
    with pytest.raises(DataError, match=r"item 'a', column 'photo': 'http.*gone.png' cannot be fetched: HTTP 404"):
        asked(task_of(tmp_path, [row(f"{web}/gone.png")]))
    with pytest.raises(DataError, match=r"item 'a', column 'photo': 'http://127.0.0.1:1/x' cannot be fetched: .*refused"):
        asked(task_of(tmp_path, [row("http://127.0.0.1:1/x")]))


# --- how it is shown ---


def test_several_objects_keep_their_places(tmp_path):
    rows = [row([picture(), picture("blue")], sound=next(iter(tones(1, 1)))["sound"], none=None, text="as <1> shows")]
    message = asked(
        task_of(
            tmp_path,
            rows,
            "One {{ photo[1] | image }} two {{ sound | audio }}{{ none | image }}; "
            "{{ text | replace('<1>', photo[0] | image) }}\n{{ photo | image }}",
        )
    )
    assert message.content == f"One {PLACE} two {PLACE}; as {PLACE} shows\n{PLACE}{PLACE}"
    assert [media.data() for media in message.media[:1]] == [picture("blue")]
    assert [media.kind for media in message.media] == ["image", "audio", "image", "image", "image"]
    parts = message.parts()
    assert [part if isinstance(part, str) else part.kind for part in parts] == [
        "One ",
        "image",
        " two ",
        "audio",
        "; as ",
        "image",
        " shows\n",
        "image",
        "image",
    ]


def test_a_replacement_character_of_the_data_shows_nothing(tmp_path):
    mark = f"{PLACE}{'0' * 16}:{'a' * 64}{PLACE}"
    message = asked(task_of(tmp_path, [row(picture(), text=f"odd {PLACE} {mark}")], "{{ text }} {{ photo | image }}"))
    assert message.content.count(PLACE) == len(message.media) == 1
    assert message.content.startswith("odd \ufffd \ufffd0000")
    plain = asked(task_of(tmp_path, [row("", text=f"odd {PLACE}")], "{{ text }}"))
    assert plain == Message("user", f"odd {PLACE}")
    assert plain.parts() == [f"odd {PLACE}"]


def test_examples_show_their_pictures_and_are_told_apart_by_them(tmp_path):
    rows = [row(picture(colour), id=colour, target=colour) for colour in ("red", "green", "blue")]
    turns = {"template": "{{ photo | image }}\nColour?", "shots": 2}
    task = task_of(tmp_path, rows, turns)
    request = task.request(task.items[0])
    assert [len(message.media) for message in request.prompt.messages] == [1, 0, 1, 0, 1]
    assert {message.media[0].data() for message in request.prompt.messages[::2]} == {picture(one) for one in ("red", "green", "blue")}
    text = asked(task_of(tmp_path, rows, turns | {"shots_as": "text"}))
    assert text.content.count(PLACE) == len(text.media) == 3
    assert text.media[-1].data() == picture("red")


def test_requests_without_media_hash_as_they_did():
    request = Generate(Prompt((Message("user", "1+1 ="),)))
    assert canonical_json(request) == b'{"kind":"generate","prompt":{"messages":[{"role":"user","content":"1+1 ="}]}}'


def test_an_items_hash_does_not_depend_on_what_other_items_show(tmp_path):
    (tmp_path / "cat").write_bytes(picture())
    rows = [row("cat", caption="dog"), row(picture("blue"), id="b", caption="cat")]
    both = task_of(tmp_path, rows, "{{ caption }} {{ photo | image }}")
    for item in both.items:
        both.prompter.content(item)
    alone = task_of(tmp_path, rows[1:], "{{ caption }} {{ photo | image }}")
    assert content_hash(both.prompter.content(both.items[1])[:4]) == content_hash(alone.prompter.content(alone.items[0])[:4])


# --- bad input ---


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        ("gone.png", r"'gone.png' is not there: no such file in "),
        ("../secret.txt", r"'../secret.txt' lies outside .*: only files there are shown"),
        ("/etc/hostname", r"lies outside"),
        ("sound.wav", r"'sound.wav' is a sound \(audio/wav\), not a picture; write \| audio"),
        ("cut.png", r"'cut.png' is a damaged image/png file: it ends too early"),
        ("flipped.png", r"'flipped.png' is a damaged image/png file: the checksum of its chunk \w+ is wrong"),
        ("packed.gz", r"'packed.gz' is none of the files known"),
        ("folder", r"'folder' is not there"),
        ("data:image/png,raw", r"is not a data: URL in base64"),
        ("", r"expected a path, a URL, base64 text"),
        (7, r"expected a path, a URL, base64 text, or a mapping with 'bytes' or 'path', got 7"),
        ({"bytes": "%%"}, r"'%%' is not base64"),
        ({"width": 3}, r"expected a path"),
        ("A" * 4096, r"a text of 4,096 characters \('A+…'\) is none of the files known"),
    ],
)
def test_what_cannot_be_shown_is_said_with_item_and_column(tmp_path, photo, said):
    (tmp_path / "folder").mkdir()
    (tmp_path.parent / "secret.txt").write_text("secret")
    (tmp_path / "sound.wav").write_bytes(next(iter(tones(1, 1)))["sound"])
    (tmp_path / "cut.png").write_bytes(picture()[:-8])
    (tmp_path / "flipped.png").write_bytes(picture().replace(zlib.crc32(b"IEND").to_bytes(4, "big"), b"\0\0\0\0"))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"\0" * 99))
    with pytest.raises(DataError, match=rf"Task\('t'\): item 'a', column 'photo': .*{said}"):
        asked(task_of(tmp_path, [row(photo)]))


def test_too_large_a_file_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(60 << 20)
    with pytest.raises(DataError, match=r"'large.png' has 62,914,560 bytes; expected at most 52,428,800"):
        asked(task_of(tmp_path, [row("large.png")]))


def test_a_file_that_changes_after_loading_is_found_out(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    media = asked(task_of(tmp_path, [row("a.png")])).media[0]
    (tmp_path / "a.png").write_bytes(picture("blue"))
    with pytest.raises(DataError, match="has changed since the task was loaded"):
        media.data()
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="cannot be read any more"):
        media.data()
    with pytest.raises(DataError, match="not at hand"):
        Media("image", "image/png", media.sha256, media.size).data()


@pytest.mark.parametrize("key", ["system", "prefill", "answer"])
def test_only_the_question_shows_objects(tmp_path, key):
    with pytest.raises(TaskError, match=rf"prompt.{key}: only prompt.template can show an object"):
        task_of(tmp_path, [row(picture())], {"template": "{{ photo | image }}", key: "{{ photo | image }}"})
    with pytest.raises(TaskError, match=r"item.id: the template fails .*\| image belongs to prompt.template"):
        task_of(tmp_path, [row(picture())], item={"id": "{{ photo | image }}"})


def test_a_column_may_be_called_image(tmp_path):
    message = asked(task_of(tmp_path, [{"id": "a", "image": picture(), "target": "x"}], "{{ image | image }}"))
    assert message.media[0].data() == picture()
    with pytest.raises(TaskError, match="'imge' is not a column of the data; did you mean 'image'"):
        task_of(tmp_path, [{"id": "a", "image": picture(), "target": "x"}], "{{ imge | image }}")


# --- the built-in tasks ---


def test_generated_pictures_are_what_pillow_reads(tmp_path):
    for number, one in enumerate(pictures(3, 14)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(one["picture"])
        with Image.open(path) as image:
            image.load()
            assert (image.size, image.mode) == ((240, 240), "P")
    assert [one["picture"] for one in pictures(3, 14)] == [one["picture"] for one in pictures(3, 14)]
    assert struct.unpack(">II", one["picture"][16:24]) == (240, 240)


@pytest.mark.parametrize(("name", "kind"), [("shapes", "image"), ("tones", "audio"), ("price_lists", "document")])
def test_a_built_in_task_shows_what_it_says(name, kind):
    task = load_task(name)
    assert task.media == {kind}
    assert task.spec.modality == kind
    for index in range(len(task.items)):
        assert [media.kind for media in asked(task, index).media] == [kind]
