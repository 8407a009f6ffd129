"""What flows: events, streams and their types, alerts, time."""
