"""What the grid commands read and draw. Needs the extra ``grid``."""
