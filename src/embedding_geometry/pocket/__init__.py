"""The pocket model: a miniature Stable Diffusion, trained on a world of captioned pictures."""
