// What there is to say about how sure the page is: nothing, while polls work and the exporter answers.

import { timeText } from "./clock.js";
import { REASONS } from "./tables.js";

// `meta` is that of the last answer (null before the first), `connection` what Live told last, `expired` whether what
// was known may no longer be shown. The result is null, or {title, text, bad}.
export function trouble(meta, connection, expired, now) {
  const at = (instant) => timeText(Date.parse(instant), now);
  if (connection.state === "refused") {
    const text = `${full(connection.why)} Reload the page when that has changed.`;
    return { title: "The exporter does not let this page see the agents.", text, bad: true };
  }
  if (connection.state === "lost") {
    const still = meta?.at && !expired ? `Shown is what was known at ${at(meta.at)}. ` : "";
    const since = `The connection to the exporter has been lost since ${timeText(connection.since, now)}.`;
    return { title: since, text: `${still}The page tries again by itself.`, bad: true };
  }
  if (!meta) return null;
  if (meta.last_poll === null) {
    return { title: "No poll has ended yet.", text: "The agents appear with the first one that works.", bad: false };
  }
  const unknown = "Who is in which status now is not known. The next poll that works brings the agents back.";
  const until = meta.fresh_until ? `, until ${at(meta.fresh_until)} at the latest` : "";
  const text = expired ? unknown : `Shown is what was known at ${at(meta.at)}${until}.`;
  if (meta.failing_since !== null) {
    const reason = Object.hasOwn(REASONS, meta.failure) ? REASONS[meta.failure] : meta.failure;
    return { title: `Polls have failed since ${at(meta.failing_since)}${reason ? `: ${reason}` : ""}.`, text, bad: true };
  }
  return expired ? { title: `The last poll was at ${at(meta.last_poll)}, which is too long ago.`, text, bad: true } : null;
}

function full(text) {
  return /[.!?]$/.test(text) || text === "" ? text : `${text}.`;
}
