// Plays the client's part with the npm package ws; see play_test.go.
const { once } = require("node:events");
const WebSocket = require("ws");

const url = process.argv[2];
const report = { received: 0, ordered: true };

// connect returns an open connection and a function for its next message, which
// returns null at the end.
async function connect() {
  const ws = new WebSocket(url);
  const messages = [], waiting = [];
  const deliver = m => (waiting.length ? waiting.shift()(m) : messages.push(m));
  ws.on("message", (data, binary) => deliver(binary ? data : JSON.parse(data)));
  ws.closed = once(ws, "close").then(([code]) => { deliver(null); return code; });
  ws.next = () => (messages.length ? messages.shift() : new Promise(resolve => waiting.push(resolve)));
  await once(ws, "open");
  expect(await ws.next(), "welcome");
  return ws;
}

function expect(message, type) {
  if (message?.type !== type) throw new Error(`got ${JSON.stringify(message)} in place of ${type}`);
  return message;
}

async function subscribe(ws) {
  ws.send(JSON.stringify({ type: "subscribe", channel: "interop", ref: 1 }));
  expect(await ws.next(), "subscribed");
}

async function play() {
  let ws = await connect();
  await subscribe(ws);
  console.log("subscribed");
  for (; report.received < 100; report.received++) {
    const { data } = expect(await ws.next(), "message");
    report.ordered &&= data.n === report.received;
    if (report.received === 50) report.large = data.text.length;
    if (report.received === 51) report.speech = data.text;
  }
  const pong = once(ws, "pong");
  ws.ping("node");
  report.pong = String(await pong) === "node";
  ws.close(4321, "enough");
  report.closed = await ws.closed;

  ws = await connect();
  ws.send(Buffer.from([0]));
  report.refused = await ws.closed;

  ws = await connect();
  await subscribe(ws);
  console.log("waiting");
  const bye = expect(await ws.next(), "bye");
  report.bye = bye.reason;
  report.after = bye.reconnect_after_ms > 0;
  report.drained = await ws.closed;
  console.log(JSON.stringify(report));
}

play();
