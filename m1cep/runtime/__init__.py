"""What generated code calls, and the operators that run it."""
