"""The pocket model: a miniature Stable Diffusion trained from scratch on a world of captioned pictures."""
