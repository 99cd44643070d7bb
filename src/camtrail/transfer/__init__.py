"""What goes over the network: the one HTTP client, retries, queues; and the server that stands in for services."""
