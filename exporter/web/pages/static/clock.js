// The exporter's clock, as far as its answers tell it, and times in words. The clock of a wall screen may be wrong by
// minutes, and the time in a status must not be.

const KEPT = 20;
// The Date of an answer has whole seconds, and the server sets it about once a second.
const DATE_IS_LATE_BY = 2500;
// From the end of a poll until a page hears of it.
const NEWS_IS_LATE_BY = 1000;

export class ServerClock {
  #bounds = [];
  #offset = 0;

  // An answer that was asked for at `sent` came at `received` (by this machine's clock). It carried `date` and told of a
  // poll that ended at `poll`, which was `news` if the page had just been told that it is over. All in milliseconds,
  // NaN if unknown.
  heard({ sent, received, date, poll, news }) {
    const least = Math.max(...[date, poll].filter(Number.isFinite));
    if (!Number.isFinite(least)) return;
    const most = Math.min(...[date + DATE_IS_LATE_BY, news ? poll + NEWS_IS_LATE_BY : NaN].filter(Number.isFinite));
    this.#bounds.unshift([least - received, most - sent]);
    this.#bounds.length = Math.min(this.#bounds.length, KEPT);
    let [lower, upper] = this.#bounds[0];
    for (const [from, to] of this.#bounds) {
      // What does not fit is from before one of the clocks was set.
      if (Math.max(lower, from) > Math.min(upper, to)) break;
      lower = Math.max(lower, from);
      upper = Math.min(upper, to);
    }
    this.#offset = lower + Math.max(0, Math.min(upper - lower, DATE_IS_LATE_BY) / 2);
  }

  now() {
    return Date.now() + this.#offset;
  }
}

const two = (number) => String(number).padStart(2, "0");

// h:mm:ss, as in the reports, with the days before it; never negative.
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const clock = `${hours % 24}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours < 24 ? clock : `${Math.floor(hours / 24)}d ${clock}`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });

// The time of day, with the date unless it is that of `now`.
export function timeText(instant, now) {
  const time = TIME.format(instant);
  const day = DAY.format(instant);
  return day === DAY.format(now) && Math.abs(now - instant) < 86_400_000 ? time : `${day}, ${time}`;
}

export function zoneName() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
