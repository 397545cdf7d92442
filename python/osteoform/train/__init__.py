"""Training of the feature detector on simulated X-rays. Needs PyTorch (extra `train`)."""
