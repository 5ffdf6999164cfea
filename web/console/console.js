// The console: connect, subscribe, watch. A transport is a class with the
// interface of PushClient; another one takes its place in `connect`.
import { PushClient } from "./client.js";

const MOST_ENTRIES = 1000;
const CLOSE_NAMES = {
  1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data",
  1006: "connection lost", 1007: "bad text", 1008: "policy", 1009: "message too big",
  1011: "server error", 1012: "drain", 1013: "try again later",
  4001: "token missing, bad or expired", 4002: "slow consumer", 4003: "forbidden",
};
const $ = id => document.getElementById(id);
const query = new URLSearchParams(location.search);

let client = null;
let received = 0;
const subscribed = new Map(); // channel -> its chip

function connect(address, token) {
  const own = client = new PushClient(address, { token });
  setState("waiting", "connecting");
  $("toggle").textContent = "Disconnect";
  let untried = true;
  client.on("welcome", m => {
    untried = false;
    setState("open", `connected to ${address}`);
    note(`welcome, connection ${m.connection}`);
  });
  client.on("message", showMessage);
  client.on("gap", m => append("gap", m.channel, `gap (${m.reason}): messages may be missing here`, `since ${m.since}`));
  client.on("subscribed", m => { confirm(m.channel, true); note("subscribed", m.channel, m.id); });
  client.on("unsubscribed", m => note("unsubscribed", m.channel));
  client.on("bye", m => note(`the server says bye: ${m.reason}`));
  client.on("error", showError);
  client.on("close", closed => {
    if (own !== client) return; // by our own wish
    showClose(closed);
    if (untried && closed.code === 1006) hintAtCertificate(address);
    untried = false;
  });
  for (const channel of subscribed.keys()) client.subscribe(channel);
}

function disconnect() {
  client.close();
  client = null;
  setState("closed", "not connected");
  $("toggle").textContent = "Connect";
  for (const channel of subscribed.keys()) confirm(channel, false);
}

function showMessage(m) {
  received++;
  $("count").textContent = received === 1 ? "1 message" : `${received} messages`;
  let text = typeof m.data === "string" ? m.data : JSON.stringify(m.data);
  if (m.data_base64 !== undefined) text = `base64: ${m.data_base64}`;
  append("message", m.channel, text, m.id, m.user);
}

function showError(m) {
  append("error", m.channel, `${m.code}: ${m.message}`);
}

function showClose({ code, reason, retryIn }) {
  for (const channel of subscribed.keys()) confirm(channel, false);
  const why = [...new Set([code, CLOSE_NAMES[code], reason])].filter(Boolean).join(", ");
  append("error", "", `closed: ${why}`);
  if (retryIn === null) {
    disconnect();
    setState("failed", `closed: ${why}`);
  } else {
    setState("waiting", `closed (${code}), trying again in ${(retryIn / 1000).toFixed(1)} s`);
  }
}

// hintAtCertificate names what a browser keeps from the page.
function hintAtCertificate(address) {
  if (!address.startsWith("wss:")) return;
  note(`if the browser doesn't trust the certificate: open ${new URL("/", address.replace("wss:", "https:"))} and accept it`);
}

function setState(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

function note(text, channel = "", id = "") {
  append("note", channel, text, id);
}

function append(kind, channel, text, id = "", user = "") {
  const now = new Date();
  const entry = element("li", kind);
  const time = element("time", "", now.toTimeString().slice(0, 8));
  time.dateTime = now.toISOString();
  entry.append(time, element("span", "channel", channel ?? ""));
  const said = element("span", "text", text);
  if (user) said.prepend(element("span", "user", user), " ");
  entry.append(said);
  if (id) entry.append(element("span", "id", id));
  const list = $("entries");
  list.append(entry);
  while (list.childElementCount > MOST_ENTRIES) list.firstElementChild.remove();
  if ($("follow").checked) list.scrollTop = list.scrollHeight;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function subscribe(channel) {
  if (!subscribed.has(channel)) {
    const chip = element("li", "");
    const remove = element("button", "", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `Unsubscribe from ${channel}`);
    remove.onclick = () => {
      chip.remove();
      subscribed.delete(channel);
      client?.unsubscribe(channel);
    };
    chip.append(element("span", "name", channel), remove);
    $("channels").append(chip);
    subscribed.set(channel, chip);
    confirm(channel, false);
    client?.subscribe(channel);
  }
  $("target").value ||= channel;
}

function confirm(channel, confirmed) {
  const chip = subscribed.get(channel);
  if (chip) chip.dataset.confirmed = confirmed;
}

// parsed returns the value of JSON text, and other text as it is.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function onSubmit(form, act) {
  $(form).addEventListener("submit", event => {
    event.preventDefault();
    act();
  });
}

onSubmit("connect", () => {
  if (client) disconnect();
  else connect($("address").value.trim(), $("token").value || undefined);
});

onSubmit("subscribe", () => {
  for (const channel of $("channel").value.split(",").map(c => c.trim()).filter(Boolean)) subscribe(channel);
  $("channel").value = "";
});

// It publishes as the operator, through the admin listener that served the page:
// what clients may publish is another matter.
onSubmit("publish", async () => {
  const channel = $("target").value.trim();
  try {
    const answer = await fetch("../v1/publish", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ channel, data: parsed($("data").value) }),
    });
    const { id, error } = await answer.json();
    if (error) append("error", channel, `${error.code}: ${error.message}`);
    else note("published", channel, id);
  } catch (cause) {
    append("error", channel, `not published: ${cause.message}`);
  }
});

$("clear").onclick = () => {
  $("entries").replaceChildren();
  received = 0;
  $("count").textContent = "0 messages";
};

// publicAddress is where the clients connect to: given in the page's query,
// else told by the admin listener that served the page. A gateway that
// listens on every address is reached by the name that reached the page.
async function publicAddress() {
  const given = query.get("public");
  if (given?.includes("://")) return given;
  const told = given === null ? await (await fetch("config.json")).json() : { public: given };
  // A page that came over TLS may connect by nothing else.
  const secure = location.protocol === "https:";
  const useTLS = told.tls && (secure || !told.public);
  const address = useTLS ? told.tls : told.public;
  if (!address) return "";
  const host = address.replace(/^(0\.0\.0\.0|\[::\]|):/, `${location.hostname}:`);
  return `${useTLS || secure ? "wss" : "ws"}://${host}/v1/ws`;
}

for (const channel of (query.get("channels") ?? "news").split(",").filter(Boolean)) subscribe(channel);
const address = await publicAddress().catch(() => "");
$("address").value = address ?? "";
if (address) connect(address);
