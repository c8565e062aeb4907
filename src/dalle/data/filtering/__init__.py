"""Which web pairs are fit for training, after Appendix C of the paper: one file a rule, found by itself."""
