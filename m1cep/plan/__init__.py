"""Plans: checked expressions, row patterns and their programs, what a match must remember."""
