"""All commands: the words that are typed, what is behind them, and one line about each. Nothing here loads anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hoprior.cli.options import NO_DEFAULT, Description, Option, describe
from hoprior.errors import HopriorError


@dataclass(frozen=True)
class Command:
    """A command.

    main: `module:function` that takes the arguments.
    about: its line in the list of commands.
    does: `module:function` whose signature and docstring are its options; none for Lightning's own.
    given: what stands in its usage before the options.
    training: whether it is one of Lightning's, which is told its own name as well.
    leading: the options that words before all options stand for, in their order.
    many: whether the last of these takes all words that are left.
    written: options that name what the command makes; other paths are read, and have to be there.
    also: words that may stand for a path without being one.
    """

    main: str
    about: str
    does: str = ""
    given: str = ""
    training: bool = False
    leading: tuple[str, ...] = ()
    many: bool = False
    written: tuple[str, ...] = ("out",)
    also: tuple[str, ...] = ()


def _of(module: str, function: str, about: str, given: str = "", main: str = "main", **more: Any) -> Command:
    return Command(f"hoprior.cli.{module}:{main}", about, f"hoprior.cli.{module}:{function}", given, **more)


def _training(about: str, given: str = "") -> Command:
    return Command("hoprior.cli.configurations:main", about, given=given, training=True)


USING: dict[tuple[str, ...], Command] = {
    ("demo",): _of("demo", "demo", "a mug, a clip, a photo and a hand to try all tasks with, and grasps"),
    ("run", "grasp"): _of("run_grasp", "run_grasp", "ranked human grasps of an object", "--mesh FILE"),
    ("run", "generate"): _of("run_generate", "run_generate", "hands and objects, drawn from a text", "--text TEXT"),
    ("run", "reconstruct"): _of(
        "run_reconstruct", "run_reconstruct", "object and hand in 3D from a clip", "--clip PATH --text TEXT"
    ),
    ("run", "refine"): _of(
        "run_refine", "run_refine", "the whole hand of a photo, occluded joints too", "--image FILE"
    ),
    ("eval", "grasp"): _of(
        "eval_grasp",
        "evaluate_grasps",
        "depth, contact and stability of grasps",
        "FOLDER ...",
        leading=("folder",),
        many=True,
    ),
    ("eval", "prior"): _of("eval_prior", "evaluate_prior", "VQ-VAE, samples and text of an interaction-grid prior"),
    ("eval", "reconstruct"): _of(
        "eval_reconstruct",
        "evaluate_reconstruction",
        "shape, hand and their relation against the truth",
        "FOLDER",
        leading=("results",),
    ),
    ("eval", "refine"): _of("eval_refine", "evaluate_refine", "errors of refined hands by how much is hidden"),
    ("view",): _of("view", "view", "results in a browser: turn, compare, play", "FOLDER", leading=("out",), written=()),
    ("export",): _of(
        "export",
        "export",
        "grasps for a simulator; or weights of a checkpoint",
        "WHAT --to mjcf",
        leading=("what",),
        also=("hand",),
    ),
    ("retarget",): _of(
        "retarget",
        "run_retarget",
        "a person's grasps on any robot hand",
        "FOLDER --robot hand.urdf",
        leading=("grasps",),
    ),
    ("describe",): _of(
        "describe", "run_describe", "the sentence of an affordance, from labels or photos", written=("out", "cache")
    ),
    ("priors",): _of("priors", "list_priors", "the priors that are installed"),
    ("doctor",): _of("doctor", "doctor", "what is installed, what is missing for what, and a self-test"),
    ("completion",): _of(
        "completion",
        "completion",
        "a script that completes commands in a shell",
        "bash|zsh|fish|tcsh",
        leading=("shell",),
    ),
}
"""Commands that use priors."""
TRAINING: dict[tuple[str, ...], Command] = {
    ("data", "prepare"): _of("data_prepare", "prepare_data", "make the training cache", "--out FOLDER"),
    ("data", "prepare", "NAME"): _of(
        "data_prepare_recorded",
        "prepare_recorded",
        "a dataset as shards that `fit` streams",
        "NAME ROOT --out FOLDER",
        leading=("name", "root"),
    ),
    ("data", "list"): _of("data_check", "list_data", "datasets that are read from their own files", main="list_main"),
    ("data", "check"): _of(
        "data_check",
        "check_data",
        "what is there of a dataset, and if it can be right",
        "NAME ROOT",
        leading=("name", "root"),
    ),
    ("data", "poses"): _of(
        "data_prepare", "pose_data", "poses with sentences, for the pose prior", "--out FILE", main="poses_main"
    ),
    ("data", "mine"): _of("data_mine", "mine", "add the negatives that a prior would choose itself"),
    ("data", "synthesize"): _of(
        "data_synthesize", "synthesize_data", "make grasps that hold, of our own", main="synthesize_main"
    ),
    ("data", "stats"): _of(
        "data_synthesize", "stats_data", "count what was synthesized", "FOLDER", main="stats_main", leading=("dir",)
    ),
    ("data", "preview"): _of(
        "data_synthesize", "preview_data", "draw what was synthesized", "FOLDER", main="preview_main", leading=("dir",)
    ),
    ("data", "render-clip"): _of("data_render_clip", "render_clip", "film a clip whose truth is known"),
    ("fit",): _training("train a prior", "--config NAME|FILE"),
    ("validate",): _training("check a prior on its validation set", "--config NAME|FILE"),
    ("test",): _training("check a prior on its test set", "--config NAME|FILE"),
    ("predict",): _training("what a prior makes of data", "--config NAME|FILE"),
}
"""Commands that train them."""
COMMANDS = {**USING, **TRAINING}

TRAINING_OPTIONS = (
    Option("config", "Path", NO_DEFAULT, "a configuration: the name of a shipped one, or a YAML file; several add up."),
    Option("out", "str", "out/training", "folder of checkpoints and curves."),
    Option("ckpt_path", "Path", None, "a checkpoint to go on from, or to check."),
    Option("data.cache", "Path", None, "the training data's folder, of data modules that read a cache."),
    Option("seed_everything", "int", 0, "the same seed gives the same training."),
    Option("checkpoint.every_n_train_steps", "int", None, "how many steps there are between two checkpoints."),
    Option("checkpoint.upload", "bool", False, "whether Weights & Biases gets the last checkpoint, too."),
    Option("pictures.every", "int", 1, "how many validations there are between two drawings of the model; 0 for none."),
    Option("trainer.max_steps", "int", -1, "how many steps to train; -1 for no end."),
    Option("trainer.accelerator", "str", "auto", "auto, cpu, gpu or mps."),
    Option("trainer.devices", "int | str", "auto", "how many of them, or which."),
    Option("trainer.precision", "str", None, "of the arithmetic: 32, bf16-mixed or 16-mixed."),
    Option("trainer.logger", "str", None, "where curves go: WandbLogger, TensorBoardLogger; CSV files without."),
    Option("trainer.fast_dev_run", "bool", False, "try one batch of everything, and keep nothing."),
)
"""The settings of Lightning's command line that most trainings need; --help-all of `fit` has all of them."""
EXAMPLES = {
    "fit": (
        "hoprior fit --config contrastive --data.cache cache/procedural --out out/mine",
        "hoprior fit --config contrastive --trainer.fast_dev_run true",
    ),
}


def words_of(argv: Sequence[str]) -> tuple[str, ...]:
    """The words at the beginning of a command line that name a command.

    Raises:
        HopriorError: they name none.
    """
    for length in (2, 1):
        if tuple(argv[:length]) in COMMANDS and len(argv) >= length:
            return tuple(argv[:length])
    group = members(argv[0])
    known = [" ".join(words) for words in group] or sorted({words[0] for words in COMMANDS})
    raise HopriorError(f"'{' '.join(argv[:2])}' is not a command: use one of {', '.join(known)}, or hoprior --help")


def described_words(words: tuple[str, ...], args: Sequence[str]) -> tuple[str, ...]:
    """What COMMANDS knows a command line by: `data prepare dexycb ROOT` has other options than `data prepare`."""
    named = (*words, "NAME")
    return named if named in COMMANDS and args and not args[0].startswith("-") else words


def members(group: str) -> dict[tuple[str, ...], Command]:
    """The commands of a group: of `run`, `eval` or `data`."""
    return {words: command for words, command in COMMANDS.items() if words[0] == group and len(words) > 1}


def description_of(words: tuple[str, ...]) -> Description:
    """What help says about a command."""
    command = COMMANDS[words]
    if command.does:
        return describe(command.does)
    examples = EXAMPLES.get(words[0], (f"hoprior {words[0]} --config contrastive --ckpt_path out/mine/last.ckpt",))
    return Description(f"{command.about[0].upper()}{command.about[1:]}.", "", examples, TRAINING_OPTIONS)
