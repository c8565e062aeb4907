"""The rules, one file each: the module's name is the rule's, and its key in params.yaml."""
