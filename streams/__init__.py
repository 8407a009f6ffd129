"""The shell: Kafka, files, servers, commands. All I/O is here, no business decision."""
