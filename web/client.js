// A browser client for the gateway: one WebSocket, any number of channels.
// It reconnects by itself and resumes each channel after the last message
// that it saw.
//
//   const push = new PushClient("wss://push.example/v1/ws", { token: () => fetchToken() });
//   push.on("message", m => console.log(m.channel, m.id, m.data));
//   push.on("gap", g => reload(g.channel));
//   push.subscribe("news");
//
// Events: message, gap, subscribed, unsubscribed, published, error, bye and
// welcome carry the server's object; "open" carries nothing; "close" carries
// {code, reason, retryIn}, where retryIn is in milliseconds, or null when the
// client gave up because trying again can't help.

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
const PONG_MS = 10_000;
const UNAUTHENTICATED = 4001;
const FORBIDDEN = 4003;

export class PushClient {
  #url; #token; #socket = null; #closed = false; #attempt = 0; #ref = 0;
  #retryTimer; #silenceTimer; #silenceMs = 60_000; #notBefore = null;
  #listeners = new Map(); // event -> set of functions
  #channels = new Map();  // channel -> position to resume after, undefined at first

  // token is a string, or a function that returns one or a promise of one and
  // is asked before each connection; without it no token is sent.
  constructor(url, { token } = {}) {
    this.#url = url;
    this.#token = token;
    this.#connect();
  }

  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    return () => this.#listeners.get(event).delete(listener);
  }

  get channels() { return [...this.#channels.keys()]; }

  // since is the id of the last message that was seen, from an earlier page.
  subscribe(channel, since) {
    this.#channels.set(channel, since);
    this.#sendSubscribe(channel);
  }

  unsubscribe(channel) {
    this.#channels.delete(channel);
    this.#send({ type: "unsubscribe", channel });
  }

  // publish returns the ref by which "published" or "error" answers, or null
  // while there is no connection.
  publish(channel, data) {
    const ref = ++this.#ref;
    return this.#send({ type: "publish", channel, data, ref }) ? ref : null;
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#silenceTimer);
    this.#socket?.close(1000);
  }

  async #connect() {
    let token;
    try {
      token = typeof this.#token === "function" ? await this.#token() : this.#token;
    } catch (cause) {
      this.#retry({ code: UNAUTHENTICATED, reason: `no token: ${cause}` });
      return;
    }
    if (this.#closed) return;
    const socket = this.#socket = new WebSocket(this.#url);
    socket.onopen = () => {
      if (token) this.#send({ type: "auth", token });
      for (const channel of this.#channels.keys()) this.#sendSubscribe(channel);
      this.#heard();
      this.#emit("open");
    };
    socket.onmessage = ({ data }) => {
      this.#heard();
      this.#receive(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#retry({ code, reason });
    };
  }

  #receive(m) {
    if (m.type === "welcome") {
      this.#attempt = 0;
      if (m.heartbeat) this.#silenceMs = 2000 * m.heartbeat;
    } else if (m.type === "bye") {
      this.#notBefore = m.reconnect_after_ms ?? null;
    } else if (m.id && this.#channels.has(m.channel)) {
      // "subscribed" names a position too; one that is older than what was
      // asked for must not replace it.
      const known = this.#channels.get(m.channel) !== undefined;
      if (m.type === "message" || (m.type === "subscribed" && !known)) this.#channels.set(m.channel, m.id);
    }
    this.#emit(m.type, m);
  }

  // heard restarts the watch for a connection that died without a close: a
  // browser shows the server's pings to nobody, so silence is answered by a
  // ping of our own.
  #heard() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      this.#send({ type: "ping" });
      this.#silenceTimer = setTimeout(() => this.#abandon(), PONG_MS);
    }, this.#silenceMs);
  }

  // abandon does not wait for the closing handshake of a dead connection.
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#retry({ code: 1006, reason: "the server fell silent" });
  }

  #retry({ code, reason }) {
    clearTimeout(this.#silenceTimer);
    const hopeless = code === FORBIDDEN || (code === UNAUTHENTICATED && typeof this.#token !== "function");
    let retryIn = null;
    if (!this.#closed && !hopeless) {
      // The whole range at random, so that the clients of a node that failed
      // do not come back together.
      const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempt++);
      retryIn = Math.round(this.#notBefore ?? Math.random() * most);
      this.#retryTimer = setTimeout(() => this.#connect(), retryIn);
    }
    this.#notBefore = null;
    this.#emit("close", { code, reason, retryIn });
  }

  #sendSubscribe(channel) {
    const since = this.#channels.get(channel);
    this.#send(since === undefined ? { type: "subscribe", channel } : { type: "subscribe", channel, since });
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #emit(event, value) {
    for (const listener of this.#listeners.get(event) ?? []) listener(value);
  }
}
