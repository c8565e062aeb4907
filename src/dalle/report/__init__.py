"""Metrics and images -> figures, tables and the page that a reader opens first."""
