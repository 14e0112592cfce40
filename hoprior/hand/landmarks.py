"""Points of the hand frame (m) about which hands are placed and turned. +x is to the fingers, +z out of the palm."""

PALM_CENTRE = (0.09, 0.0, 0.03)
"""Over the palm's middle: where interaction grids are centred, and about which training turns hands and scales objects.

Trained weights know no other.
"""
HELD_SURFACE = (0.085, 0.0, 0.045)
"""What a held object's surface is near to, over the palm and towards the fingers: random placements put it there."""
HELD_CENTRE = (0.085, 0.0, 0.05)
"""Where an object sits in an open hand, over the palm and off the skin: background grasps start there."""
HAND_CENTRE = (0.09, 0.0, 0.02)
"""The middle of the hand itself: what a camera looks at, and about which a fit turns it."""
