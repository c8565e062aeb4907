"""Readers of the real on-disk formats, each `read_<source>(folder) -> (manifest, problems)`; nothing is unpacked or copied."""
