"""Networks that others released, rewritten as model folders of this project."""
