"""`hoprior describe`: affordance descriptions of labels or photos, on the terminal and as JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import answers_console, notes_console, printable, saying
from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.common.reading import read_json
from hoprior.common.run_key import say_start
from hoprior.errors import HopriorError
from hoprior.language.describe.chat import AnswerCache, Chat
from hoprior.language.describe.crop import view_of
from hoprior.language.describe.endpoint import Endpoint
from hoprior.language.describe.steps import Describer, Description
from hoprior.language.schema import QUESTIONS, Affordance, affordance_of
from hoprior.vision.boxes import Box, read_box
from hoprior.vision.estimates.files import passed_over
from hoprior.vision.images import is_picture

FORMAT = "hoprior-descriptions/1"
BOXES = ("hand_box", "object_box")


def describe_all(
    items: Mapping[str, Mapping[str, Any]], describer: Describer, labels: Affordance | None = None
) -> dict[str, Description | HopriorError]:
    """Descriptions of many photos; what is wrong with one of them stands in its place, and the rest is kept.

    Args:
        items: by name, `image` (a path; none for labels alone), `hand_box`, `object_box` and elements of `Affordance`.
        describer: how.
        labels: elements of all items, below an item's own.
    """
    found: dict[str, Description | HopriorError] = {}
    for name, item in items.items():
        try:
            found[name] = _describe_item(item, describer, labels or Affordance())
        except HopriorError as error:
            found[name] = error
    return found


def _describe_item(item: Mapping[str, Any], describer: Describer, labels: Affordance) -> Description:
    from hoprior.vision.images import read_photo

    own = affordance_of({key: value for key, value in item.items() if key in QUESTIONS})
    if unknown := sorted(set(item) - {*QUESTIONS, "image", *BOXES}):
        raise HopriorError(f"'{unknown[0]}' is unknown: there are image, {', '.join(BOXES)}, {', '.join(QUESTIONS)}")
    labels = labels.overridden_by(own)
    if item.get("image") is None or describer.vision is None:
        return describer(labels=labels)
    hand, object_ = (_box(item.get(name), name) for name in BOXES)
    return describer(view_of(read_photo(item["image"]), hand, object_), labels)


def _box(value: Any, name: str) -> Box | None:
    if value is None:
        return None
    if isinstance(value, str):
        return read_box(value)
    if isinstance(value, list) and len(value) == 4 and all(isinstance(v, int | float) for v in value):
        return (float(value[0]), float(value[1]), float(value[2]), float(value[3]))
    raise HopriorError(f"{name} is {json.dumps(value, default=str)[:60]}: give [left, top, right, bottom] in pixels")


def run_describe(
    category: str = "",
    shape: str = "",
    size: str = "",
    interaction: str = "",
    intention: str = "",
    grasp: str = "",
    image: Path | None = None,
    hand_box: str | None = None,
    object_box: str | None = None,
    labels: Path | None = None,
    endpoint: str | None = None,
    vision_model: str | None = None,
    language_model: str | None = None,
    language_endpoint: str | None = None,
    local_vision: str | None = None,
    local_language: str | None = None,
    device: str = "auto",
    each: bool = False,
    timeout: float = 120.0,
    retries: int = 3,
    cache: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Say what a hand does with an object, in the words that the pose prior listens to: from labels or from photos.

    Labels alone need no model: `hoprior describe --category mug --size large --grasp "medium wrap"`.

    Args:
        category: what the object is, "mug"; labels stand above what a model says.
        shape: its shape, "cylindrical".
        size: small, medium or large.
        interaction: what the hand does, "drinking from".
        intention: what for, "to drink".
        grasp: name or number in the GRASP taxonomy, "medium wrap" or 3.
        image: a photo, or a folder of photos, for step 1.
        hand_box: where the hand is in the photo: left,top,right,bottom in pixels.
        object_box: where the object is.
        labels: a JSON file {name: {image, hand_box, object_box, object_category, ...}} for many at once.
        endpoint: URL of an OpenAI-compatible server (vLLM, Ollama, llama.cpp): http://localhost:11434/v1. Photos are
            sent there.
        vision_model: the server's model for step 1.
        language_model: the server's model for step 2; the template without.
        language_endpoint: another server for step 2.
        local_vision: model of transformers for step 1 (Qwen/Qwen2.5-VL-7B-Instruct), or its folder.
        local_language: model of transformers for step 2 (mistralai/Mistral-7B-Instruct-v0.3), or its folder.
        device: where local models run: auto, cpu, cuda, mps.
        each: ask for one element at a time, as the paper does.
        timeout: seconds that a server may take for an answer.
        retries: tries after the first while a server is busy, broken or silent.
        cache: folder in which answers are kept.
        out: JSON file for the descriptions.

    Example:
        hoprior describe --category mug --size large --grasp "medium wrap"
        hoprior describe --image photo.jpg --endpoint http://localhost:11434/v1 --vision-model qwen2.5vl
    """

    if out is not None:
        check_place(out.parent)
    servers = (endpoint, language_endpoint or endpoint)
    options: dict[str, Any] = {"timeout": timeout, "retries": retries}
    vision = _chat("vision", servers[0], vision_model, local_vision, True, device, options)
    language = _chat("language", servers[1], language_model, local_language, False, device, options)
    if endpoint is not None and vision is None and language is None:
        raise HopriorError(f"--endpoint {endpoint}: name its model with --vision-model, --language-model, or both")
    answers = None if cache is None else AnswerCache(cache)
    describer = Describer(vision, language, each, answers)
    given = {
        "object_category": category,
        "object_shape": shape,
        "object_size": size,
        "interaction": interaction,
        "intention": intention,
        "grasp": grasp,
    }
    items = _items(image, labels, hand_box, object_box, saying(notes_console()))
    if image is not None and vision is None:
        raise HopriorError("--image: say who looks at it: --endpoint URL --vision-model NAME, or --local-vision NAME")
    found = describe_all(items, describer, affordance_of(given))
    written = {name: _written(result) for name, result in found.items()}
    if out is not None:
        content = strict_json({"format": FORMAT, "descriptions": written})
        write_atomically(out, lambda temporary: temporary.write_text(content, encoding="utf-8"))
    console = answers_console(highlight=False, soft_wrap=True)
    if answers is not None:
        say = saying(notes_console())
        say_start(say, answers.kept, answers.kept + answers.asked, {}, f"answers in {cache}")
    faults = {name: result for name, result in found.items() if isinstance(result, HopriorError)}
    for name, result in found.items():
        if isinstance(result, Description):
            console.print(printable(f"{name}: {result.text}" if len(found) > 1 else result.text), markup=False)
    if len(found) == len(faults) == 1:
        raise next(iter(faults.values()))
    for name, fault in faults.items():
        notes_console(highlight=False, soft_wrap=True).print(
            printable(f"{name}: {fault}"), markup=False, style="yellow"
        )
    if faults:
        raise HopriorError(f"{len(faults)} of {len(found)} could not be described; the others are kept")
    return {"out": out, "descriptions": written}


def _chat(
    what: str,
    url: str | None,
    model: str | None,
    local: str | None,
    sees: bool,
    device: str,
    options: Mapping[str, Any],
) -> Chat | None:
    """The model of one step, or None if none is named."""
    if local is not None and model is not None:
        raise HopriorError(f"--{what}-model and --local-{what}: name one of them")
    if local is not None:
        from hoprior.language.describe.local import LocalChat

        return LocalChat(local, sees, device)
    if model is None:
        return None
    if url is None:
        raise HopriorError(f"--{what}-model {model}: say where it is, with --endpoint URL")
    return Endpoint(url, model, **options)


def _items(
    image: Path | None,
    labels: Path | None,
    hand_box: str | None,
    object_box: str | None,
    say: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """What is to be described, by name."""
    if labels is not None:
        items = _read_labels(labels)
        for item in items.values():
            if item.get("image") is not None:
                item["image"] = str(labels.parent / str(item["image"]))
        return items
    boxes = {"hand_box": hand_box, "object_box": object_box}
    if image is None:
        return {"labels": {}}
    if not image.is_dir():
        return {image.name: {"image": str(image), **boxes}}
    if hand_box or object_box:
        raise HopriorError(f"--image {image}: one box does not fit a folder of photos: give them with --labels")
    files = sorted(path for path in image.iterdir() if path.is_file() and not path.name.startswith("."))
    photos = [path for path in files if is_picture(path)]
    if not photos:
        raise HopriorError(f"--image {image}: no photo in it")
    others = [path for path in files if path not in photos]
    if others:
        say(passed_over(others, "a photo"))
    return {path.name: {"image": str(path)} for path in photos}


def _read_labels(path: Path) -> dict[str, dict[str, Any]]:
    items = read_json(path, "give a JSON file of labels")
    if not isinstance(items, dict) or not items or not all(isinstance(item, dict) for item in items.values()):
        raise HopriorError(f"{path}: a mapping of names to labels is wanted: {{'cup1': {{'object_category': 'cup'}}}}")
    return items


def _written(result: Description | HopriorError) -> dict[str, Any]:
    if isinstance(result, HopriorError):
        return {"error": str(result)}
    return {"text": result.text, "elements": result.affordance.known(), "grasp_name": result.affordance.grasp_name}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior describe`."""
    return call_with_arguments(run_describe, "hoprior describe", args)
