"""DALL-E (Ramesh et al. 2021) as a library: data, dVAE, prior, CLIP reranking, sampling, evaluation, figures.

Nothing in here knows DVC, MLflow, YAML or a fixed path: paths, values and callables come in as arguments.
"""
