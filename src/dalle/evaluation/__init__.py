"""Images -> features -> statistics -> numbers, knowing no generator: blur, FID, inception score, KID, caption accuracy."""
