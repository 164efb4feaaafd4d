"""The model: from a text to what the UNet reads of it, and from there to pictures."""
