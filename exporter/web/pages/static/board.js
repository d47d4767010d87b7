// The board: numbers, banner, filter and agents, brought up to date after each poll and ticking in between.

import { trouble } from "./banner.js";
import { Boxes, Choice, element } from "./choice.js";
import { ServerClock, timeText, zoneName } from "./clock.js";
import { Live } from "./live.js";
import { ALWAYS, groupOf, inOrder, lookOf } from "./looks.js";
import { People } from "./people.js";

// Team 2 comes before team 10.
const COLLATOR = new Intl.Collator(undefined, { numeric: true });
const BACK_MS = 2000;
const byId = (id) => document.getElementById(id);
const clock = new ServerClock();
const choice = new Choice();
const people = new People(byId("people"), clock);
const tiles = new Boxes(byId("tiles"), "status", "tile", chosen);
const teams = new Boxes(byId("teams"), "team", "chip", chosen);

let meta = null;
let rows = [];
let counted = new Set(ALWAYS);
let allTeams = [];
let connection = { state: "live" };
let expired = true;
let said = "";
let begun = false;

const live = new Live(clock, take, (told) => {
  connection = told;
  warn();
});

function take(answer) {
  meta = answer.meta;
  const labels = answer.statuses.filter((one) => one.agents > 0).map((one) => one.status);
  counted = new Set([...ALWAYS, "unknown", ...answer.statuses.map((one) => one.status)]);
  rows = answer.rows.map((row) => {
    const [group, detail] = groupOf(row.status, counted);
    return { key: row.agent_id, name: row.name || row.agent_id, team: row.team, since: Date.parse(row.since), group, detail };
  });
  rows.sort((a, b) => a.since - b.since || COLLATOR.compare(a.name, b.name));
  allTeams = [...new Set([...answer.teams, ...rows.map((row) => row.team)])];
  counted = new Set([...ALWAYS, ...labels]);
  expired = isExpired();
  byId("filter").hidden = false;
  byId("how").hidden = false;
  byId("zone").textContent = `local (${zoneName()})`;
  byId("interval").textContent = `, with a poll every ${Math.round(meta.poll_interval_seconds)} s`;
  show();
  if (!begun) teams.reveal();
  begun = true;
  // A lost connection is back a moment after the first answer: until then there is nothing new to read out.
  if (connection.state === "live") warn();
  else setTimeout(warn, BACK_MS);
}

// What is too old is not shown, as the metrics do not show it; also when the exporter cannot be asked any more.
function isExpired() {
  if (!meta || meta.stale || meta.at === null) return true;
  return meta.fresh_until !== null && clock.now() >= Date.parse(meta.fresh_until);
}

function show() {
  const known = expired ? [] : rows;
  const ofTeams = known.filter((row) => choice.hasTeam(row.team));
  showTiles(ofTeams);
  showTeams(known);
  const groups = new Map();
  for (const row of ofTeams) {
    if (!choice.hasStatus(row.group)) continue;
    if (!groups.has(row.group)) groups.set(row.group, []);
    groups.get(row.group).push(row);
  }
  people.show(inOrder(groups.keys()).map((word) => ({ word, rows: groups.get(word) })));
  const number = [...groups.values()].reduce((sum, group) => sum + group.length, 0);
  byId("chosen").hidden = !choice.any;
  byId("choice").textContent = expired ? "" : `${number} of ${known.length} agents are shown.`;
  byId("nobody").hidden = number > 0 || expired;
  byId("nobody").textContent = known.length ? "Nobody is in this choice now." : "No agents are tracked.";
  byId("as-of").textContent = expired ? "" : `as of ${timeText(Date.parse(meta.at), clock.now())}`;
}

function showTiles(ofTeams) {
  const numbers = new Map();
  for (const row of ofTeams) numbers.set(row.group, (numbers.get(row.group) ?? 0) + 1);
  const words = inOrder([...counted, ...choice.status]);
  const entries = words.map((word) => ({
    value: word,
    text: word,
    look: lookOf(word),
    count: expired ? "–" : String(numbers.get(word) ?? 0),
  }));
  tiles.show(entries, choice.status);
}

function showTeams(known) {
  const numbers = new Map();
  for (const row of known) numbers.set(row.team, (numbers.get(row.team) ?? 0) + 1);
  const names = [...new Set([...allTeams, ...choice.team])].sort(COLLATOR.compare);
  const entries = names.map((team) => ({
    value: team,
    text: team || "no team",
    count: expired ? "–" : String(numbers.get(team) ?? 0),
  }));
  byId("team-filter").hidden = names.length < 2 && choice.team.size === 0;
  teams.show(entries, choice.team);
}

function chosen(name, value, on) {
  choice.set(name, value, on);
  show();
  say(choice.any ? byId("choice").textContent : "Everybody is shown.");
}

// The alert is written only when its words change, or a screen reader would read it out after each poll. What changes
// with each try stands beside it.
function warn() {
  const found = trouble(meta, connection, expired, clock.now());
  byId("trouble").className = found ? (found.bad ? "banner bad" : "banner") : "";
  byId("details").textContent = found?.text ?? "";
  byId("details").hidden = !found;
  const title = found?.title ?? "";
  if (title === said) return;
  byId("alert").replaceChildren(...(found ? [element("strong", "", title)] : []));
  if (!found) say("Polls work, and the agents are up to date.");
  said = title;
}

function say(text) {
  byId("news").textContent = text;
}

function tick() {
  live.watch();
  if (isExpired() !== expired) {
    expired = isExpired();
    show();
    warn();
  }
  people.tick();
}

// Just after a second of the exporter's clock begins, so that all displays in a room tick together.
function tickOften() {
  if (!document.hidden) requestAnimationFrame(tick);
  setTimeout(tickOften, 1000 - (clock.now() % 1000) + 5);
}

byId("all").addEventListener("click", () => {
  choice.clear();
  show();
  byId("tiles").querySelector("input")?.focus();
  say("Everybody is shown.");
});
addEventListener("popstate", () => {
  choice.read();
  if (meta) show();
});
document.addEventListener("visibilitychange", tick);
setInterval(() => people.newDay(), 600_000);
live.start();
tickOften();
