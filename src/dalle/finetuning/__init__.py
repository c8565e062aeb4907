"""A trained prior that goes on learning on a domain's own pairs: what the paper leaves open (3.1)."""
