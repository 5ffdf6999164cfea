// Has web/client.js renew a token of 100 s while the server's answer comes late, by
// a clock and a WebSocket of its own, and prints how many tokens it asks for in the
// 400 s after that. See client_test.go.
import { readFileSync } from "node:fs";
import { mock } from "node:test";

mock.timers.enable({ apis: ["setTimeout"] });
let now = 0, socket;
Object.defineProperty(performance, "now", { value: () => now });
globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 1;
  auths = 0;
  constructor() { socket = this; }
  send(text) { if (JSON.parse(text).type === "auth") this.auths++; }
  say(m) { this.onmessage({ data: JSON.stringify(m) }); }
};
const source = readFileSync(process.argv[2]).toString("base64");
const { PushClient } = await import(`data:text/javascript;base64,${source}`);

let tokens = 0, answer = "t";
new PushClient("ws://gateway", { token: () => { tokens++; return answer; } });

async function settle() { for (let i = 0; i < 20; i++) await null; }

async function pass() {
  now += 100;
  mock.timers.tick(100);
  await settle();
  socket.say({ type: "pong" });
}

async function welcome() {
  socket.say({ type: "welcome", expires_in: 100 });
  await settle();
}

await settle();
socket.onopen();
await welcome();
while (tokens < 2) await pass(); // and the server doesn't answer
let give;
answer = new Promise(resolve => { give = resolve; });
while (tokens < 3) await pass(); // so it asks again, which takes its time
await welcome(); // late
give(answer = "t");
await settle();
const before = tokens;
for (let answered = 2, i = 0; i < 4000; i++) {
  await pass();
  for (; answered < socket.auths; answered++) await welcome();
}
console.log(tokens - before);
process.exit(0);
