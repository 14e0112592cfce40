"""From pixels to hands: photos, videos, masks, the landmarker, and first estimates as people have them."""
