"""The things that shipped priors have learnt, by what people call them."""

FAMILIES = (
    *("mug", "cup", "wine glass", "bowl", "plate", "bottle", "squeeze bottle", "can", "tin", "jar", "pitcher"),
    *("frying pan", "teapot", "pot lid", "hammer", "screwdriver", "knife", "spoon", "spatula", "wrench", "scissors"),
    *("pen", "toothbrush", "brush", "flashlight", "power drill", "spray bottle", "phone", "remote control", "box"),
    *("small box", "book", "brick", "wooden block", "cube", "ball", "cylinder", "banana", "apple", "pear", "orange"),
    *("lemon", "light bulb", "computer mouse", "ring", "clamp", "stapler", "camera", "eraser", "dumbbell", "basket"),
    "door knob",
)
"""Of the synthetic set."""
RECORDED = (
    *("airplane", "alarm clock", "binoculars", "duck", "elephant", "eyeglasses", "flute", "game controller"),
    *("headphones", "piggy bank", "pyramid", "sphere", "stamp", "bunny", "toothpaste", "torus", "train", "watch"),
    "water bottle",
)
"""Those of MyoDM beside them, but for its hand, which nearly every sentence names."""
LEARNT = frozenset((*FAMILIES, *RECORDED))
SHIPPED_THINGS = {"interaction": LEARNT}
"""By the name of the prior; of the others nothing is said."""
