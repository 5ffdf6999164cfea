// Makes a request over TLS and prints the answer's body as it comes; see tls_clients_test.go.
const https = require("node:https");

const [url, method, body] = process.argv.slice(2);
https.request(url, { method }, response => response.pipe(process.stdout)).end(body);
