"""The embedded world: pictures, captions, planted junk and leaks, with the truth about all of it."""
