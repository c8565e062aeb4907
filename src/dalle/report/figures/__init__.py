"""One file a figure of the paper (or an extra of ours): plain arrays and frames in, a matplotlib Figure out."""
