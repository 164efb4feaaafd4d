"""Text embeddings as point clouds: couplings, paths, images and their perceptual path length."""
