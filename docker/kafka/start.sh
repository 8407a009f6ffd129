#!/bin/sh
# Makes the data folder at the first start, then becomes Kafka. $1: the configuration.
# Not the image's own entry point: that one writes into /opt/kafka, and the root file system is read-only here.
set -eu
export LOG_DIR=/tmp/kafka-logs
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
    /opt/kafka/bin/kafka-storage.sh format --standalone --config "$1" \
        --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$1"
