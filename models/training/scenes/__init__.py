"""A second small world beside the creatures: landscapes, 96 x 64 pixels, drawn by ourselves."""
