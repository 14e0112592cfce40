"""Commands and Python blocks that README and docs show, and how tests run each: small, on inputs that lie ready."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("hoprior", "make", "python", "python3", "pip", "bash", "tensorboard", "wandb")


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it.

    page: where it stands first.
    line: as it is typed, comments taken away; it may begin with assignments of environment variables.
    """

    page: Path
    line: str

    @property
    def argv(self) -> list[str]:
        """Its words, without assignments, marks of what may be left out, and what a shell would do with its output."""
        words = shlex.split(
            re.sub(r"(^| )\[(?=-)|(?<=[^\[ ])\](?= |$)(?![^ ]*')", r"\1", self.line).partition(" > ")[0]
        )
        while "=" in words[0]:
            words = words[1:]
        return [word for word in words if word != "..."]


def _uncommented(line: str) -> str:
    return re.sub(r"\s+#.*| {3,}.*|, .*(?<!')$", "", line).strip() if "#" in line or "   " in line else line.strip()


def typed_lines(page: Path) -> list[str]:
    """Commands of a page's indented and fenced blocks, continued lines joined."""
    text = re.sub(r" *\\\n *", " ", page.read_text(encoding="utf-8"))
    text = re.sub(r"^```(?:python|yaml|json|mermaid)\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    fenced = set()
    for block in re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        fenced.update(block.splitlines())
    found = []
    for line in text.splitlines():
        shown = re.match(rf"(?:    |\$ )?((?:[A-Z_]+=\S+ )*(?:{'|'.join(PROGRAMS)}) .*)", line)
        if shown is not None and (line.startswith(("    ", "$ ")) or line in fenced):
            found.append(_uncommented(shown[1]))
    return found


def commands_in_sentences(page: Path) -> list[str]:
    """Those between backticks that have more than the command's words: others name the command, and run nothing."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"`((?:{'|'.join(PROGRAMS[:3])}|bash|hoprior) [^`\n]+)`", text)
    return [
        line for line in found if line.startswith(("make ", "python", "bash")) or re.search(r" (-|out/|[A-Z]{3})", line)
    ]


def shown_commands() -> list[Shown]:
    """Each once, in the order of pages."""
    first: dict[str, Path] = {}
    for page in PAGES:
        for line in [*typed_lines(page), *commands_in_sentences(page)]:
            first.setdefault(line, page)
    return [Shown(page, line) for line, page in first.items()]


def python_blocks(page: Path) -> list[str]:
    """The fenced blocks of Python, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


RENAMED = (
    (r"--cache (?:DIR|out/cache)", "--cache shards/cans/cache"),
    (r"--data\.cache (?:CACHE|shards/mine/cache)", "--data.cache shards/cans/cache"),
    (r"--myodm (?:DIR|PATH/TO/myodm)", "--myodm path/to/myodm"),
    (r"'\[(?:DIR|SET)(?:,[.\w]+)?\]'", "'[set]'"),
    (r"--synthetic out/set", "--synthetic set"),
    (r"'\[myodm\]'", "'[folder]'"),
    (r"data (check|prepare) NAME", r"data \1 dexycb"),
    (r"fit --config NAME", "fit --config contrastive --trainer.fast_dev_run true --data.cache shards/cans/cache"),
    (r"fit --config contrastive$", "fit --config contrastive --data.cache shards/cans/cache"),
    (r"view (?:OUT|demo/grasps)", "view out/mug_grasps"),
    (r"eval grasp (?:FOLDER|DIR) ?\.\.\.", "eval grasp out/mug_grasps"),
    (r"eval reconstruct (?:FOLDER|OUT) --clip CLIP", "eval reconstruct out/clip_reconstruction --clip demo/clip"),
)
"""What stands for a reader's own files in a page, and what lies in the tests' folder in its place."""
SMALLER = (
    (r"(?<!refine )--num \d+", "--num 1"),
    (r"--procedural \d+", "--procedural 1"),
    (r"--parts \d+", "--parts 1"),
    (r"--background (?!0)\d+", "--background 2"),
    (r"--workers \d+", "--workers 1"),
    (r"--resting \d+", "--resting 2"),
    (r"--trainer\.max_steps \d+", "--trainer.max_steps 2"),
)
"""Numbers that make a command long, and those that show that it works."""
FIT = "--trainer.accelerator cpu --data.batch_size 2 --pictures.every 0"
MORE = {
    "demo": "--no-grasps --frames 6",
    "run grasp": "--num 1 --config.pool 64 --config.local-search.iterations 0 --config.spare 0 "
    "--config.guiding.steps 3 --config.refining.steps 6 --config.faults.simulate false",
    "run generate": "--num 1",
    "run reconstruct": "--minutes 0.3",
    "retarget": "--no-lift",
    "eval grasp": "--no-simulate",
    "eval prior": "--num 2 --val-fraction 0.4",
    "eval refine": "--num 3 --val-fraction 0.9",
    "data synthesize": "--num 4",
    "data mine": "--num 2",
    "fit": f"{FIT} --trainer.max_steps 1 --trainer.limit_val_batches 1",
    "validate": f"{FIT} --trainer.limit_val_batches 1",
}
"""What is added to a command, by its words; what it says itself comes before, so that this counts."""
