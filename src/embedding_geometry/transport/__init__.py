"""From one token cloud to another: couplings, distances, paths, ways. Arrays in, arrays out."""
