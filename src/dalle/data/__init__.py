"""What a (caption, image) pair is: sources, manifests, filtering, image crops, caption tokens and the token store."""
