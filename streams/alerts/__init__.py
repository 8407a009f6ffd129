"""Alerts for people: what the topic holds, where each stands, and how somebody brings one to another state.

topic   reading the alerts and their states, once, for a command
desk    changes of state, as records; with a person's signature where custody is to heed them
"""
