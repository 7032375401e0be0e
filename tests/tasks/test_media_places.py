"""Where the pictures of a task lie: folders, archives, the data set's repository on the hub; and the two benchmarks that need it.

The rows are made up in the form of the data sets' own (columns as their cards list them); the pictures are drawn here.
"""

import io
import json
import zipfile

import polars as pl
import pytest
from test_hub import hub, parquet  # noqa: F401 - a fixture

import proctor
from proctor import Task, load_task
from proctor.errors import DataError, TaskError
from proctor.suites.generators.drawing import blank, draw_shape, png
from proctor.types import PLACE, Response

MEGA, MMMU = "TIGER-Lab/MEGA-Bench", "lmms-lab/MMMU"


def picture(colour="red"):
    canvas = blank(8, 8)
    draw_shape(canvas, "square", (2, 2, 6, 6), colour)
    return png(canvas)


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def shown(task, index=0):
    return task.request(task.items[index]).prompt.messages[-1]


def rows(*names):
    return [{"id": name, "photo": name, "target": "x"} for name in names]


def task_of(tmp_path, data):
    return Task(base=tmp_path, task="t", data=data, prompt="{{ photo | image }}", scoring="exact_match")


def test_paths_start_from_the_folder_or_archive_named(tmp_path):
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / "a.png").write_bytes(picture())
    (tmp_path / "shots.zip").write_bytes(zipped({"data/b.png": picture("blue"), "data/": b""}))
    folder = task_of(tmp_path, {"items": rows("a.png"), "media": "shots"})
    archive = task_of(tmp_path, {"items": rows("./data/b.png"), "media": "shots.zip"})
    assert shown(folder).media[0].data() == picture()
    assert shown(archive).media[0].data() == picture("blue")
    with pytest.raises(
        DataError, match=r"item '../shots.zip', column 'id': '../shots.zip' lies outside of .*shots: only files there are shown"
    ):
        shown(task_of(tmp_path, {"items": rows("../shots.zip"), "media": "shots"}))
    with pytest.raises(DataError, match=r"'c.png' is not there: no such file in shots.zip"):
        shown(task_of(tmp_path, {"items": rows("c.png"), "media": "shots.zip"}))


def test_an_archive_beside_the_table(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows("b.png"))))
    (tmp_path / "data" / "shots.zip").write_bytes(zipped({"b.png": picture("blue")}))
    assert shown(task_of(tmp_path, {"files": "data/rows.jsonl", "media": "shots.zip"})).media[0].data() == picture("blue")


def test_a_place_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"data.media: there is no folder or .zip archive 'shots' in "):
        task_of(tmp_path, {"items": rows("a.png"), "media": "shots"})
    with pytest.raises(TaskError, match=r"data.media: expected a folder or a .zip archive, got an empty value"):
        task_of(tmp_path, {"items": rows("a.png"), "media": ""})
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match=r"data.media: bad.zip: cannot be read as a .zip archive: File is not a zip file"):
        shown(task_of(tmp_path, {"items": rows("a.png"), "media": "bad.zip"}))


def test_too_large_a_file_in_an_archive_is_not_unpacked(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(60 << 20))
    (tmp_path / "shots.zip").write_bytes(made.getvalue())
    with pytest.raises(DataError, match=r"'bomb.png' has 62,914,560 bytes; expected at most 52,428,800"):
        shown(task_of(tmp_path, {"items": rows("bomb.png"), "media": "shots.zip"}))


def test_files_of_a_data_set_on_the_hub_are_fetched_as_they_are_shown(hub, tmp_path):  # noqa: F811
    files = {"data/test.parquet": parquet(rows("one.png", "two.png")), "pictures/one.png": picture(), "pictures/two.png": picture("blue")}
    hub.sets["o/pictures"] = {"main": files}
    task = task_of(tmp_path, {"hub": "o/pictures", "media": "pictures"})
    assert shown(task).media[0].data() == picture()
    assert not any("two.png" in one for one in hub.asked if "resolve" in one)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "three.png").write_bytes(picture("green"))  # what lies here is none of the data set's
    hub.sets["o/more"] = {"main": {**files, "data/test.parquet": parquet(rows("three.png"))}}
    with pytest.raises(DataError, match=r"'three.png' is not there: no such file in o/more/pictures"):
        shown(task_of(tmp_path, {"hub": "o/more", "media": "pictures"}))


# --- MEGA-Bench ---


def mega_row(number, task, text, answer, metric, media=(), **more):
    info = {"field_score_function": metric, "aggregation": {"function": "mean", "field_weights": dict.fromkeys(metric, 1)}}
    return {
        "id": str(number),
        "task_name": task,
        "task_description": "Look at the picture. End with 'Answer: …'.",
        "global_media": "[]",
        "example_text": "Example: <image>\nAnswer: red",
        "example_media": "['./data/it/example.png']",
        "query_text": text,
        "query_media": str(list(media)),
        "answer": str(answer),
        "metric_info": str(info | {"response_parse_function": "json" if len(metric) > 1 else "answer_string"}),
        "eval_context": str(more.get("context", {})),
        "taxonomy_tree_path": "Perception;Colours",
        "application": more.get("application", "Perception"),
        "input_format": "Photographs",
        "output_format": more.get("output", "contextual_formatted_text"),
    }


BOX = {"Action": "click", "Box": "<box>0.25, 0.25, 0.75, 0.75</box>"}
MEGA_ROWS = [
    mega_row(1, "colour", "And here <image>?", {"colour": "blue"}, {"colour": "simple_str_match"}, ["./data/it/query.png"]),
    mega_row(
        2,
        "click",
        "First <image> then <image>: where?",
        BOX,
        {"Action": "exact_str_match", "Box": "xml_nbbox_iou_single"},
        ["./data/it/query.png", "./data/it/example.png"],
        application="Planning",
        output="structured_output",
    ),
    mega_row(3, "poem", "Write.", {"poem": ""}, {"poem": "constrained_generation"}),
    mega_row(4, "film", "What happens in <video>?", {"what": "x"}, {"what": "exact_str_match"}, ["./data/it/film.mp4"]),
    mega_row(
        5,
        "point",
        "Click on <image>.",
        {"point": ""},
        {"point": "xml_norm_point_in_bbox"},
        ["./data/it/query.png"],
        context={"bounding_boxes": ["(0.1, 0.1, 0.3, 0.3)"]},
    ),
]
MEGA_PICTURES = {"data/it/example.png": picture(), "data/it/query.png": picture("blue")}
MEGA_GOLD = {"1": "It is blue.\nAnswer: Blue", "2": json.dumps(BOX), "5": "Answer: <point>0.2, 0.2</point>"}


@pytest.fixture
def mega(hub):  # noqa: F811
    files = {"core/test-00000-of-00001.parquet": parquet(MEGA_ROWS), "data.zip": zipped(MEGA_PICTURES)}
    hub.sets[MEGA] = {load_spec("mega_bench").data.revision or "main": files}
    return hub


def load_spec(name):
    from proctor.tasks.load import task_specs

    ((_, spec),) = task_specs([name])
    return spec


def local_map(tmp_path):
    pl.DataFrame(MEGA_ROWS).write_parquet(tmp_path / "core.parquet")
    (tmp_path / "data.zip").write_bytes(zipped(MEGA_PICTURES))
    (tmp_path / "map.yaml").write_text(f"{MEGA}: core.parquet\n")
    return load_task("mega_bench", data=str(tmp_path / "map.yaml"))


def check_mega(task):
    assert [item.id for item in task.items] == ["1", "2", "5"]
    first, second = shown(task, 0), shown(task, 1)
    assert first.content == f"Look at the picture. End with 'Answer: …'.\nExample: {PLACE}\nAnswer: red\nAnd here {PLACE}?"
    assert [media.data() for media in first.media] == [picture(), picture("blue")]
    assert [media.data() for media in second.media] == [picture(), picture("blue"), picture()]
    for item in task.items:
        assert task.scoring.score(item, task.request(item), Response(text=MEGA_GOLD[item.id])).values == {"fields": 1.0}
        assert task.scoring.score(item, task.request(item), Response(text="Answer: nothing")).values == {"fields": 0.0}


def test_mega_bench_from_the_hub(mega):
    check_mega(load_task("mega_bench"))


def test_mega_bench_from_local_files(tmp_path):
    check_mega(local_map(tmp_path))


def test_a_run_of_mega_bench_has_a_profile_by_its_dimensions(tmp_path):
    task = local_map(tmp_path)
    answers = {shown(task, index).content: MEGA_GOLD[item.id] for index, item in enumerate(task.items)}

    def knows(request):
        return Response(text=answers[request.prompt.messages[-1].content])

    runs = proctor.run(task, knows, out=tmp_path / "runs")
    assert runs[0].manifest.tasks[0].main.value == 1.0
    (part,) = json.loads(proctor.profile(runs, "knows", "json"))
    assert [one["name"] for one in part["dimensions"]] == ["application", "input_format", "output_format"]
    assert {one["name"]: one["n"] for one in part["dimensions"][0]["values"]} == {"Perception": 2, "Planning": 1}


# --- MMMU ---


def mmmu_row(number, question, options, answer, pictures, kind="multiple-choice"):
    images = {f"image_{index}": None for index in range(1, 8)} | {
        f"image_{index}": {"bytes": data, "path": None} for index, data in pictures.items()
    }
    return {
        "id": f"validation_Art_{number}",
        "question": question,
        "options": str(options),
        "explanation": "",
        **images,
        "img_type": "['Paintings']",
        "answer": answer,
        "topic_difficulty": "Easy",
        "question_type": kind,
        "subfield": "Drawing",
    }


def test_mmmu_puts_its_pictures_where_the_text_names_them(tmp_path):
    made = [
        mmmu_row(1, "What is it? <image 1>", ["a 'square'", 'a "circle"', "neither"], "A", {1: picture()}),
        mmmu_row(2, "Which is red?", ["<image 1>", "<image 2>"], "B", {1: picture("blue"), 2: picture()}),
        mmmu_row(3, "Name it <image 1>", [], "square", {1: picture()}, "open"),
    ]
    kind = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    pl.DataFrame(made, schema_overrides={f"image_{index}": kind for index in range(1, 8)}).write_parquet(tmp_path / "val.parquet")
    (tmp_path / "map.yaml").write_text(f"{MMMU}: val.parquet\n")
    task = load_task("mmmu", data=str(tmp_path / "map.yaml"))
    assert [item.id for item in task.items] == ["validation_Art_1", "validation_Art_2"]
    asked = "Answer with the option's letter from the given choices directly."
    assert shown(task).content == f"What is it? {PLACE}\n\n(A) a 'square'\n(B) a \"circle\"\n(C) neither\n\n{asked}"
    assert shown(task, 1).content == f"Which is red?\n\n(A) {PLACE}\n(B) {PLACE}\n\n{asked}"
    assert [media.data() for media in shown(task, 1).media] == [picture("blue"), picture()]
    for item, right in zip(task.items, "AB", strict=True):
        assert task.scoring.score(item, task.request(item), Response(text=f"({right})")).values["acc"] == 1
        assert task.scoring.score(item, task.request(item), Response(text="C")).values["acc"] == 0
