"""Makes a request over TLS and prints the answer's body as it comes; see tls_clients_test.go."""

import http.client
import ssl
import sys

address, method, path, body = sys.argv[1:]
connection = http.client.HTTPSConnection(address, context=ssl.create_default_context())
connection.request(method, path, body or None, {"Accept": "text/event-stream"} if not body else {})
response = connection.getresponse()
while part := response.read1():
    sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
