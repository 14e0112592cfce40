"""Whether a thing of its kind takes the place of an object whose shape pictures do not tell, and what is said then."""

from hoprior.datasets.clips.clip import Clip
from hoprior.results.reconstructions import TRUST_WORDS, Reconstruction
from hoprior.tasks.reconstruct.evidence import Evidence
from hoprior.tasks.reconstruct.fit import Fit
from hoprior.tasks.reconstruct.trust import reasons

KIND_GIVEN, KIND_UNKNOWN = 1.0, 2.0
"""How much of a guess a stand-in is: one of the kind that words name, and a plain solid."""
TORN_HANDLES = 4.0
"""What has more handles is torn."""
COVERS_LESS, SOLID_COVERS_MORE = 0.05, 0.02
"""A stand-in of the kind may cover its masks by so much less than what was carved. A plain solid, which can be
stretched to cover nearly any, has to cover more and to pass their outlines more closely."""


def guessed_of(fit: Fit) -> float:
    """How much of a guess the shape of a fit is; 0 for what was carved."""
    if fit.stand_in is None:
        return 0.0
    return KIND_GIVEN if fit.stand_in.of_kind else KIND_UNKNOWN


def needs_stand_in(carved: Reconstruction, clip: Clip) -> bool:
    """Whether what was carved is not to be trusted, and frames tell where something else could be."""
    return carved.trust_word == TRUST_WORDS[-1][1] and int(clip.has_object.sum()) > 1


def is_better(guess: Reconstruction, carved: Reconstruction) -> bool:
    """Whether a stand-in is to be preferred to what was carved: torn things never stay, others by their masks."""
    told, before = Evidence(**guess.evidence), Evidence(**carved.evidence)
    if before.handles > TORN_HANDLES and before.overlap < told.overlap + COVERS_LESS:
        return True
    if told.guessed == KIND_GIVEN:
        return told.overlap > before.overlap - COVERS_LESS
    return told.overlap > before.overlap + SOLID_COVERS_MORE and told.outline < before.outline


def stand_in_note(carved: Reconstruction, fit: Fit) -> str:
    """The sentence that a result's shape is a guess."""
    assert fit.stand_in is not None
    why = reasons(Evidence(**carved.evidence))
    return (
        f"the frames tell no shape that is to be trusted ({why}), so the object's is a guess: a {fit.stand_in.kind},"
        " stretched and brought to its masks; its vertices' confidence says what frames show"
    )
