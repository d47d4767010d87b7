// The agents as of the last poll, for as long as the page is open: an event tells that a poll has ended, and then they
// are asked for. Every failure ends in a new try; nothing is left to the browser, which gives up after some of them.

const AGENTS = "api/v1/agents";
const EVENTS = "api/v1/events";
const TRIES_MS = [250, 500, 1000, 2000, 4000, 8000, 15000];
const REFUSED_MS = 30000;
const ANSWER_MS = 20000;
const HIDDEN_MS = 60000;

class Refused extends Error {}

export class Live {
  // Calls `show(answer)` with each answer, and `tell(connection)` when it is lost or refused, or is back: an object with
  // `state` ("live", "lost", "refused"), `since` (milliseconds by the exporter's clock) and `why`.
  constructor(clock, show, tell) {
    this.clock = clock;
    this.show = show;
    this.tell = tell;
    this.since = null;
    this.failures = 0;
    this.source = null;
    this.timer = 0;
    this.asking = null;
    this.again = false;
    this.meta = null;
    this.lastHeard = performance.now();
  }

  start() {
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("online", () => this.#retry(0));
    addEventListener("pageshow", (event) => event.persisted && this.#retry(0));
    this.#try();
  }

  // A connection can die without a word: with each poll there should be one.
  watch() {
    const silent = performance.now() - this.lastHeard;
    if (this.source && silent > (2 * this.meta.poll_interval_seconds + 20) * 1000) this.#retry(0);
  }

  async #try() {
    this.timer = 0;
    try {
      await this.#ask();
    } catch (error) {
      this.#lost(error);
      return;
    }
    this.#listen();
  }

  #listen() {
    this.#close();
    this.lastHeard = performance.now();
    const source = new EventSource(EVENTS);
    this.source = source;
    source.addEventListener("poll", (event) => {
      this.lastHeard = performance.now();
      this.#heard();
      // The first one tells mostly of what has just been asked for.
      const { version, stale } = JSON.parse(event.data);
      if (version !== this.meta.version || stale !== this.meta.stale) this.#refresh();
    });
    // It may mean that the browser tries again, or that it never will: so it is always our turn. Whether anything is
    // wrong shows then; proxies cut a stream now and then, and all is well.
    source.addEventListener("error", () => source === this.source && this.#later());
  }

  // Only now all is well: there may be answers and yet no events, if too many pages are open.
  #heard() {
    if (this.failures > 0) reloadIfUpgraded();
    this.failures = 0;
    if (this.since === null) return;
    this.since = null;
    this.tell({ state: "live" });
  }

  async #refresh() {
    if (this.asking) {
      this.again = true;
      return;
    }
    try {
      do {
        this.again = false;
        await this.#ask(true);
      } while (this.again);
    } catch (error) {
      this.#lost(error);
    }
  }

  #ask(news = false) {
    this.asking ??= this.#answer(news).finally(() => (this.asking = null));
    return this.asking;
  }

  async #answer(news) {
    const sent = Date.now();
    const response = await fetch(AGENTS, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    const received = Date.now();
    if (response.status === 401 || response.status === 403) throw new Refused(await sentence(response));
    if (!response.ok) throw new Error(await sentence(response));
    const answer = await response.json();
    const [date, poll] = [response.headers.get("date"), answer.meta.last_poll].map((text) => Date.parse(text));
    const polled = news && this.meta !== null && answer.meta.last_poll !== this.meta.last_poll;
    this.clock.heard({ sent, received, date, poll, news: polled });
    this.meta = answer.meta;
    this.show(answer);
  }

  #lost(error) {
    this.#close();
    const refused = error instanceof Refused;
    this.since ??= this.clock.now();
    this.tell({ state: refused ? "refused" : "lost", since: this.since, why: refused ? error.message : "" });
    this.#later(refused ? REFUSED_MS : 0);
  }

  #later(least = 0) {
    const wait = Math.max(least, TRIES_MS[Math.min(this.failures, TRIES_MS.length - 1)]);
    this.failures += 1;
    // Not all pages at once when the exporter is back.
    this.#retry(wait * (0.8 + 0.4 * Math.random()));
  }

  #retry(milliseconds) {
    this.#close();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#try(), milliseconds);
  }

  #close() {
    this.source?.close();
    this.source = null;
  }

  // A browser has six connections to a server for all its tabs: one that nobody looks at keeps none.
  #visibility() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => this.#close(), HIDDEN_MS);
    } else if (!this.source) {
      this.#retry(0);
    }
  }
}

async function sentence(response) {
  const text = (await response.text()).slice(0, 1000);
  try {
    return String(JSON.parse(text).error);
  } catch {
    return text.trim();
  }
}

// The exporter may have come back as a newer one, with which only its own scripts are known to work.
async function reloadIfUpgraded() {
  const mine = new URL(import.meta.url).searchParams.get("v");
  try {
    const response = await fetch(import.meta.url, { method: "HEAD", cache: "no-store" });
    const theirs = response.headers.get("etag");
    if (response.ok && mine && theirs && !theirs.includes(mine)) location.reload();
  } catch {
    // The next loss tries again.
  }
}
