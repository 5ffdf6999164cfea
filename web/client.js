// A browser client for the gateway: one WebSocket, any number of channels.
// It reconnects by itself and resumes each channel after the last message
// that it saw.
//
//   const push = new PushClient("wss://push.example/v1/ws", { token: () => fetchToken() });
//   push.on("message", m => console.log(m.channel, m.id, m.data));
//   push.on("gap", g => reload(g.channel));
//   push.subscribe("news");
//   push.subscribe("chat", undefined, 20); // its newest 20 messages first
//   await push.publish("chat", { text: "hello" });
//
// Events: message, gap, subscribed, unsubscribed, published, error, bye and
// welcome carry the server's object. An error names its channel; where it
// refuses a subscription for good, the client has dropped that channel. "close"
// carries {code, reason, retryIn}, where retryIn is in milliseconds, or null when
// the client gave up because trying again can't help.

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
const HANDSHAKE_MS = 15_000; // longer than the server waits for a token
const PUBLISH_MS = 10_000;
const PONG_MS = 5_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // setTimeout fires at once for more
const MOST_WAITING = 1000; // publications
const UNAUTHENTICATED = 4001;
const FORBIDDEN = 4003;

// A subscription that is refused by one of these may be tried again.
const PASSING = new Set(["rate_limited", "overloaded", "broker_unavailable", "unauthorized"]);

// PublishError says why a message was not published. Its code is the server's, or
//   offline  no connection within the time; it was not published
//   unknown  the connection broke, or no answer came; it may have been published
//   closed   the client was closed or has given up; it was not published
export class PublishError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "PublishError";
    this.code = code;
  }
}

// within returns a promise of what promise gives, if it does so in that time.
function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class PushClient {
  #url; #token; #handshakeMs; #publishMs;
  #socket = null;
  #welcome = false;           // this socket's has come
  #known = false;             // there has been one on any socket
  #given = false;             // there is no further try
  #closed = false;            // by the page
  #attempt = 0;
  #ref = 0;
  #retryTimer; #watchTimer; #tokenTimer;
  #heartbeatMs = 25_000;
  #notBefore = null;          // as the last bye asked for
  #held = null;               // the token in use
  #heldUntil = Infinity;      // when it is to be replaced, by performance.now()
  #listeners = new Map();     // event -> set of functions
  #channels = new Map();      // channel -> {since, history}: the position to resume after, undefined at first
  #subscribing = new Map();   // ref -> channel
  #publications = new Map();  // ref -> {text, sent, timer, resolve, reject}
  #wake = () => this.#check();
  #shown = () => { if (document.visibilityState === "visible") this.#check(); };

  // token is a string, or a function that returns one or a promise of one. It is
  // asked for one at first, before the present one expires, and when that was
  // refused; without it no token is sent. Times are in milliseconds:
  // handshakeTimeout until a token is there, and as long until the server's
  // welcome; publishTimeout until a publish is answered, the wait for a connection
  // included.
  constructor(url, { token, handshakeTimeout = HANDSHAKE_MS, publishTimeout = PUBLISH_MS } = {}) {
    this.#url = url;
    this.#token = token;
    this.#handshakeMs = handshakeTimeout;
    this.#publishMs = publishTimeout;
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("pageshow", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#shown);
    queueMicrotask(() => this.#connect()); // the page has its listeners on by then
  }

  // on calls listener at each event of a name, and returns a function that ends it.
  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    return () => this.#listeners.get(event).delete(listener);
  }

  get channels() { return [...this.#channels.keys()]; }

  // since is the id of the last message that was seen, from an earlier page. Without
  // one, so many of the newest messages as history says come first.
  subscribe(channel, since, history) {
    this.#channels.set(channel, { since, history });
    if (this.#open()) this.#sendSubscribe(channel);
  }

  unsubscribe(channel) {
    this.#channels.delete(channel);
    if (this.#open()) this.#send({ type: "unsubscribe", channel });
  }

  // publish waits for a connection if there is none, and returns a promise of
  // the message's id, empty for one that isn't kept. It rejects with a
  // PublishError, and with JSON.stringify's error for data that is no JSON.
  publish(channel, data) {
    return new Promise((resolve, reject) => {
      if (this.#closed || this.#given) return reject(new PublishError("closed", "the client is closed"));
      if (this.#publications.size >= MOST_WAITING) return reject(new PublishError("overloaded", "too many messages wait to be published"));
      const ref = ++this.#ref;
      const text = JSON.stringify({ type: "publish", channel, data, ref });
      const timer = setTimeout(() => {
        const { sent } = this.#publications.get(ref);
        this.#settle(ref, new PublishError(sent ? "unknown" : "offline", sent ? "no answer came: it may have been published" : "not connected"));
      }, this.#publishMs);
      this.#publications.set(ref, { text, sent: false, timer, resolve, reject });
      if (this.#welcome) this.#sendPublication(ref);
    });
  }

  close() {
    this.#closed = true;
    this.#stop();
    this.#detach()?.close(1000);
    this.#abort("closed", "the client was closed");
  }

  async #connect() {
    if (this.#closed) return;
    let token;
    try {
      token = await this.#freshToken();
    } catch (cause) {
      this.#retry({ code: UNAUTHENTICATED, reason: `no token: ${cause}` });
      return;
    }
    if (this.#closed) return;
    let socket;
    try {
      socket = new WebSocket(this.#url);
    } catch (cause) { // the address can't be one, or the page may not connect to it
      this.#giveUp({ code: 1006, reason: String(cause) });
      return;
    }
    this.#socket = socket;
    this.#watch(this.#handshakeMs, () => this.#abandon(`no welcome within ${this.#handshakeMs / 1000} s`));
    socket.onopen = () => {
      if (token) this.#send({ type: "auth", token });
      for (const channel of this.#channels.keys()) this.#sendSubscribe(channel);
    };
    socket.onmessage = ({ data }) => {
      if (this.#welcome) this.#heard();
      this.#receive(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      this.#detach();
      this.#retry({ code, reason });
    };
  }

  // freshToken returns the token in use unless that is about to expire, so that a
  // node's restart doesn't send every client to the page's backend.
  async #freshToken() {
    if (typeof this.#token !== "function") return this.#token;
    if (this.#held === null || performance.now() >= this.#heldUntil) {
      this.#held = await within(this.#handshakeMs, this.#token());
      this.#heldUntil = Infinity; // until a welcome says
    }
    return this.#held;
  }

  #receive(m) {
    switch (m.type) {
      case "welcome": this.#welcomed(m); break;
      case "bye": this.#notBefore = m.reconnect_after_ms ?? null; break;
      case "subscribed": this.#subscribing.delete(m.ref); break;
      case "published": this.#settle(m.ref, m.id); break;
      case "error": this.#refused(m); break;
    }
    // "subscribed" names a position too; one that is older than what was asked
    // for must not replace it.
    const channel = this.#channels.get(m.channel);
    if (m.id && channel && (m.type === "message" || (m.type === "subscribed" && channel.since === undefined))) channel.since = m.id;
    this.#emit(m.type, m);
  }

  #welcomed(m) {
    this.#attempt = 0;
    this.#welcome = this.#known = true;
    if (m.heartbeat) this.#heartbeatMs = 1000 * m.heartbeat;
    this.#heard();
    clearTimeout(this.#tokenTimer);
    if (m.expires_in !== undefined && typeof this.#token === "function") {
      // Somewhere in the last fifth of its life: clients that came together
      // don't ask for new ones together.
      const lasts = 1000 * m.expires_in * (0.8 + 0.1 * Math.random());
      this.#heldUntil = performance.now() + lasts;
      this.#renewIn(lasts);
    }
    for (const [ref, { sent }] of this.#publications) if (!sent) this.#sendPublication(ref);
  }

  #renewIn(ms) {
    this.#tokenTimer = setTimeout(() => {
      const left = this.#heldUntil - performance.now();
      if (left > 0) this.#renewIn(left);
      else this.#renew(FIRST_RETRY_MS);
    }, Math.min(ms, LONGEST_TIMER_MS));
  }

  // renew sends a new token on the present connection. Should the old one expire
  // before the server has taken a new one, it closes.
  async #renew(again) {
    const socket = this.#socket;
    let token = null;
    try {
      token = await this.#freshToken();
    } catch {}
    if (socket !== this.#socket || !this.#welcome) return; // it reconnects, with the token if there is one
    // Where it comes to nothing, once more after a while; a welcome ends that.
    clearTimeout(this.#tokenTimer); // of a welcome that came late
    this.#tokenTimer = setTimeout(() => {
      this.#held = null;
      this.#renew(Math.min(2 * again, LONGEST_RETRY_MS));
    }, PONG_MS + again * Math.random());
    if (token !== null) this.#send({ type: "auth", token });
  }

  #refused(m) {
    if (this.#publications.has(m.ref)) {
      this.#settle(m.ref, new PublishError(m.code, m.message));
      return;
    }
    const channel = this.#subscribing.get(m.ref);
    if (channel === undefined) return;
    this.#subscribing.delete(m.ref);
    if (!this.#channels.has(channel) || m.code === "pending") return;
    if (!PASSING.has(m.code)) {
      this.#channels.delete(channel);
      return;
    }
    const socket = this.#socket;
    setTimeout(() => {
      if (socket === this.#socket && this.#channels.has(channel)) this.#sendSubscribe(channel);
    }, 1000 + 1000 * Math.random());
  }

  // heard restarts the watch for a connection that died without a close: a
  // browser shows the server's pings to nobody, so a heartbeat's silence is
  // answered by a ping of our own.
  #heard() { this.#watch(this.#heartbeatMs, () => this.#ping()); }

  #ping() {
    this.#send({ type: "ping" });
    this.#watch(PONG_MS, () => this.#abandon("the server fell silent"));
  }

  #watch(ms, then) {
    clearTimeout(this.#watchTimer);
    this.#watchTimer = setTimeout(then, ms);
  }

  // check is for moments at which the network may have changed: it finds out
  // whether the connection still lives, or tries again now.
  #check() {
    if (this.#closed || this.#given) return;
    if (this.#welcome) this.#ping();
    else if (this.#retryTimer !== undefined && this.#notBefore === null) this.#reconnect();
  }

  // abandon does not wait for the closing handshake of a dead connection.
  #abandon(reason) {
    this.#detach()?.close();
    this.#retry({ code: 1006, reason });
  }

  // detach takes the socket off the client and returns it. What was sent over it
  // and not answered has an unknown fate.
  #detach() {
    const socket = this.#socket;
    clearTimeout(this.#watchTimer);
    clearTimeout(this.#tokenTimer);
    this.#socket = null;
    this.#welcome = false;
    this.#subscribing.clear();
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
    for (const [ref, { sent }] of this.#publications) {
      if (sent) this.#settle(ref, new PublishError("unknown", "the connection broke: it may have been published"));
    }
    return socket;
  }

  #retry({ code, reason }) {
    if (this.#closed) return;
    if (code === UNAUTHENTICATED) this.#held = null;
    if (code === FORBIDDEN || (code === UNAUTHENTICATED && typeof this.#token !== "function")) {
      this.#giveUp({ code, reason });
      return;
    }
    // The whole range at random, so that the clients of a node that failed do
    // not come back together.
    const range = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempt++);
    const retryIn = Math.round(this.#notBefore ?? Math.random() * range);
    this.#retryTimer = setTimeout(() => this.#reconnect(), retryIn);
    if (!this.#known && this.#attempt % 3 === 0) this.#diagnose();
    this.#emit("close", { code, reason, retryIn });
  }

  #reconnect() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#notBefore = null;
    this.#connect();
  }

  #giveUp({ code, reason }) {
    this.#given = true;
    this.#stop();
    this.#abort("closed", `the client has given up: ${code} ${reason}`);
    this.#emit("close", { code, reason, retryIn: null });
  }

  // diagnose finds out whether the server refuses this page's origin, of which a
  // browser tells a WebSocket nothing: it answers, but the page may not read it. A
  // proxy whose server is away answers so too.
  async #diagnose() {
    try {
      const address = new URL(this.#url, globalThis.location?.href);
      address.protocol = address.protocol.replace(/^ws/, "http");
      address.pathname = address.pathname.replace(/\/ws\/?$/, "/poll");
      address.search = "";
      if (await fetch(address).then(() => true, () => false)) return;
      await fetch(address, { mode: "no-cors" });
    } catch {
      return; // it can't be reached at all
    }
    if (this.#known || this.#closed) return;
    this.#emit("error", {
      type: "error", code: "origin_not_allowed",
      message: `the server, or a proxy in front of it, answers, but not to pages of ${globalThis.origin}: its key "origins" has to list that`,
    });
  }

  #stop() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("pageshow", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#shown);
  }

  // abort rejects what waits to be published.
  #abort(code, message) {
    for (const ref of this.#publications.keys()) this.#settle(ref, new PublishError(code, message));
  }

  // settle ends a publication with its id or an error.
  #settle(ref, outcome) {
    const publication = this.#publications.get(ref);
    if (!publication) return;
    this.#publications.delete(ref);
    clearTimeout(publication.timer);
    if (outcome instanceof Error) publication.reject(outcome);
    else publication.resolve(outcome);
  }

  #sendPublication(ref) {
    const publication = this.#publications.get(ref);
    publication.sent = true;
    this.#sendText(publication.text);
  }

  #sendSubscribe(channel) {
    const ref = ++this.#ref;
    this.#subscribing.set(ref, channel);
    this.#send({ type: "subscribe", channel, ...this.#channels.get(channel), ref }); // what is undefined is left out
  }

  #open() { return this.#socket?.readyState === WebSocket.OPEN; }

  #send(message) { this.#sendText(JSON.stringify(message)); }

  #sendText(text) { if (this.#open()) this.#socket.send(text); }

  #emit(event, value) {
    for (const listener of this.#listeners.get(event) ?? []) listener(value);
  }
}
