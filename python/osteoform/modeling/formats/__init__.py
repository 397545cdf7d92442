"""Shape models in other people's files: one module per format."""
