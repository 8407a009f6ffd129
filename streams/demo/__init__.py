"""What the demo feeds: real market data and a synthetic account flow."""
