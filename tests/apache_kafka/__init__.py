"""Apache Kafka itself for the tests: jars from Maven Central, one node on loopback, certificates of our own."""

from apache_kafka.certificates import Certificates
from apache_kafka.jars import Missing
from apache_kafka.server import KafkaServer

__all__ = ["Certificates", "KafkaServer", "Missing"]
