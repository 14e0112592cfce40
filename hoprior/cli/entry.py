"""The `hoprior` command. Everything heavy is imported only by the subcommand that needs it."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from hoprior.errors import ArgumentError, HopriorError

USAGE = """\
usage: hoprior <command> [options]        (every command answers --help)

use a prior
  hoprior run grasp --mesh mug.obj [--text "a mug"]     ranked human grasps of an object
  hoprior run generate --text "a hand holding a mug"    hands and objects, drawn together
  hoprior run reconstruct --clip DIR --text "a mug"     object and hand in 3D from a clip
  hoprior run refine --image photo.jpg [--text "..."]   the whole hand of a photo, occluded joints too
  hoprior eval grasp DIR                                depth, volume, contact, stability of grasps
  hoprior eval prior --cache DIR                        VQ-VAE, samples and text of an interaction-grid prior
  hoprior eval reconstruct DIR --clip DIR               shape, hand and their relation against the truth
  hoprior eval refine --myodm DIR                       errors of refined hands by how much of them is hidden
  hoprior view OUT                                      results in a browser: turn, compare, play
  hoprior export OUT --to mjcf|urdf|usd                 grasps for a simulator; `export hand`: the hand alone
  hoprior describe --category mug --size large          the sentence of an affordance, from labels or photos
  hoprior priors                                        the priors that are installed

train a prior
  hoprior data prepare --out DIR                        make the training cache
  hoprior data list                                     the datasets that are read from their own files
  hoprior data check NAME ROOT                          what is there of a dataset, and whether it can be right
  hoprior data prepare NAME ROOT --out SHARDS           a dataset as shards that `fit` streams
  hoprior data poses --out poses.safetensors            poses with sentences, for the pose prior
  hoprior data mine --cache DIR --out DIR               add the negatives that a prior would choose itself
  hoprior data synthesize --out DIR --num N             make grasps that hold, of our own (stats DIR, preview DIR)
  hoprior data render-clip --out DIR --family mug       film a clip whose truth is known
  hoprior fit | validate | test | predict --config C    train or check a prior (LightningCLI)
  hoprior export CKPT OUT.safetensors                   weights of a checkpoint, ready for --prior

  hoprior --version
"""

COMMANDS: dict[tuple[str, ...], str] = {
    ("run", "grasp"): "hoprior.cli.run_grasp:main",
    ("run", "generate"): "hoprior.cli.run_generate:main",
    ("run", "reconstruct"): "hoprior.cli.run_reconstruct:main",
    ("run", "refine"): "hoprior.cli.run_refine:main",
    ("eval", "grasp"): "hoprior.cli.eval_grasp:main",
    ("eval", "reconstruct"): "hoprior.cli.eval_reconstruct:main",
    ("eval", "prior"): "hoprior.cli.eval_prior:main",
    ("eval", "refine"): "hoprior.cli.eval_refine:main",
    ("data", "prepare"): "hoprior.cli.data_prepare:main",
    ("data", "check"): "hoprior.cli.data_check:main",
    ("data", "list"): "hoprior.cli.data_check:list_main",
    ("data", "poses"): "hoprior.cli.data_prepare:poses_main",
    ("data", "mine"): "hoprior.cli.data_mine:main",
    ("data", "render-clip"): "hoprior.cli.data_render_clip:main",
    ("data", "synthesize"): "hoprior.cli.data_synthesize:synthesize_main",
    ("data", "stats"): "hoprior.cli.data_synthesize:stats_main",
    ("data", "preview"): "hoprior.cli.data_synthesize:preview_main",
    ("view",): "hoprior.cli.view:main",
    ("describe",): "hoprior.cli.describe:main",
    ("priors",): "hoprior.cli.priors:main",
    ("fit",): "hoprior.cli.fit:main",
    ("validate",): "hoprior.cli.fit:main",
    ("test",): "hoprior.cli.fit:main",
    ("predict",): "hoprior.cli.fit:main",
    ("export",): "hoprior.cli.export:main",
}
"""Words of a command -> the function behind it; `fit` and its siblings receive their own name as the first argument."""


def resolve(argv: Sequence[str]) -> tuple[Callable[[list[str]], object], list[str]]:
    """The function that a command line asks for, and the arguments left for it."""
    for words, target in COMMANDS.items():
        if tuple(argv[: len(words)]) == words:
            module, function = target.split(":")
            rest = list(argv[len(words) :]) if module != "hoprior.cli.fit" else list(argv)
            return getattr(importlib.import_module(module), function), rest
    group = [" ".join(words) for words in COMMANDS if argv[0] == words[0]]
    known = group or sorted({" ".join(words) for words in COMMANDS})
    raise HopriorError(f"'{' '.join(argv[:2])}' is not a command: use one of {', '.join(known)}, or hoprior --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 2 for a problem the user can act on, 130 for Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"hoprior {version('hoprior')}\n")
        return 0
    # Threads that wait for each other by spinning halve the speed of a machine that does something else as well; it has
    # to be said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        function, rest = resolve(argv)
        function(rest)
    except ArgumentError as error:
        sys.stderr.write(f"hoprior: {error.as_option()}\n")
        return 2
    except HopriorError as error:
        sys.stderr.write(f"hoprior: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("hoprior: stopped by Ctrl-C; no unfinished result was written\n")
        return 130
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
