"""Prepared grasps as shards that stream: one pass over them needs no more memory than a buffer."""
