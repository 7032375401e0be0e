"""Multiple choice as a written question, for tasks of other harnesses."""

from __future__ import annotations

import msgspec

from proctor.errors import TaskError
from proctor.tasks.items import LETTERS
from proctor.tasks.task import LETTER_ONLY, Task
from proctor.tasks.yaml_file import task_spec_from_mapping


def as_written_choice(task: Task) -> Task:
    """Multiple choice as a question with lettered choices, of which a model writes the letter."""
    letters = list(LETTERS)
    bare = all(list(item.choices) == letters[: len(item.choices)] for item in task.items)  # the prompt itself lists what they stand for
    rows = []
    for item in task.items:
        if item.target == -100 or not item.choices:
            raise TaskError(
                f"task '{task.name}': no choice of item '{item.id}' is right, so no letter is; leave the task out for this model"
            )
        request = task.request(item)
        messages = request.prompts[0].messages if hasattr(request, "prompts") else ()
        question = "\n\n".join(message.content for message in messages)
        rows.append({"id": item.id, "question": question, "choices": list(item.choices), "target": item.target})
    template = "{{ question }}" if bare else "{{ question }}\n{{ options }}"
    spec = task_spec_from_mapping(
        {
            "task": task.name,
            "data": {"items": rows},
            "item": {"choices": "choices", "target_as": "index"},
            "prompt": {"template": f"{template}\n\n{LETTER_ONLY}"},
            "response": {"kind": "choice", "by": "generate"},
            "version": task.spec.version,
        },
        task.where,
    )
    spec = msgspec.structs.replace(spec, title=task.spec.title, languages=[])
    made = Task.from_spec(spec, task.base, task.source, task.where)
    made.origin = task.origin
    return made
