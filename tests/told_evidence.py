"""Evidence of a reconstruction that is right, and of one that is as wrong as can be."""

from hoprior.tasks.reconstruct.evidence import Evidence

FINE = Evidence(
    overlap=0.97,
    worst_overlap=0.95,
    outline=0.3,
    miss=1.0,
    hands_moved=5.0,
    slipped=0.0,
    handles=0.0,
    ruggedness=1.0,
    seen=0.8,
    arc=120.0,
    frames=30.0,
)
WORSE = {
    "overlap": 0.5,
    "worst_overlap": 0.3,
    "outline": 8.0,
    "miss": 6.0,
    "hands_moved": 40.0,
    "slipped": 1.0,
    "handles": 9.0,
    "ruggedness": 2.0,
    "seen": 0.3,
    "arc": 10.0,
    "frames": 3.0,
    "guessed": 0.0,
}
