"""All that knows DVC, MLflow, YAML, the environment and the command line."""
