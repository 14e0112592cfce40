"""Photos of hands: reading them, and finding the hands in them."""
