// What there is to say about how sure the page is: nothing, while polls work and the exporter answers.

import { timeText } from "./clock.js";
import { REASONS } from "./tables.js";

// `meta` is that of the last answer (null before the first), `connection` what Live told last, `expired` whether what
// was known may no longer be shown. The result is null, or {title, text, bad}. The title is read out, so it stays the
// same for as long as nothing new has happened; what a try or a poll may change stands in the text.
export function trouble(meta, connection, expired, now) {
  const at = (instant) => timeText(Date.parse(instant), now);
  const unknown = "Who is in which status now is not known.";
  if (connection.state === "refused") {
    const text = `${full(connection.why)} Reload the page when that has changed.`;
    return { title: "The exporter does not let this page see the agents.", text, bad: true };
  }
  if (connection.state === "lost") {
    const still = meta?.at && !expired ? `Shown is what was known at ${at(meta.at)}.` : unknown;
    const since = `The connection to the exporter has been lost since ${timeText(connection.since, now)}.`;
    return { title: since, text: `${still} The page tries again by itself.`, bad: true };
  }
  if (!meta) return null;
  if (meta.last_poll === null) {
    return { title: "No poll has ended yet.", text: "The agents appear with the first one that works.", bad: false };
  }
  const until = meta.fresh_until ? `, until ${at(meta.fresh_until)} at the latest` : "";
  const back = "The next poll that works brings the agents back.";
  if (meta.failing_since !== null) {
    const reason = Object.hasOwn(REASONS, meta.failure) ? REASONS[meta.failure] : meta.failure;
    const why = reason ? `${full(reason)} ` : "";
    const since = `Polls have failed since ${at(meta.failing_since)}.`;
    if (expired) return { title: `${since} ${unknown}`, text: `${why}${back}`, bad: true };
    return { title: since, text: `${why}Shown is what was known at ${at(meta.at)}${until}.`, bad: true };
  }
  if (!expired) return null;
  const since = `The last poll was at ${at(meta.last_poll)}, which is too long ago.`;
  return { title: since, text: `${unknown} ${back}`, bad: true };
}

function full(text) {
  return /[.!?]$/.test(text) || text === "" ? text : `${text}.`;
}
