"""The one sample type, the cache it is kept in, and how that is filled."""
