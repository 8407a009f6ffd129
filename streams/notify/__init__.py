"""Alerts that leave Kafka: to webhooks and to Alertmanager.

targets   where to: a file
queue     what a target still has to get, when it is tried, when it is given up
bodies    what is posted; signatures
machine   records to queues; what must survive
courier   HTTP
letters   what was given up, on the topic of dead letters, and read from it again
"""
