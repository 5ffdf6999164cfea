// Listens with the EventSource of a package over TLS and prints what it hears; see tls_clients_test.go.
const [pack, url] = process.argv.slice(2);
const exported = require(pack);
const source = new (exported.EventSource ?? exported)(url);
source.addEventListener("subscribed", () => console.log("subscribed"));
source.addEventListener("message", e => console.log("message", JSON.parse(e.data).data));
