// Looks and order of statuses, the same words to the same looks as in the pictures.

import { LOOKS, OTHER_LOOKS } from "./tables.js";

// Who is busy first, then who could be, then who is away; whom nobody can tell of stands before the long list of those
// who are not at work.
const FIRST = ["On Call", "Busy", "Available", "On Break"];
const LAST = ["unknown", "Offline"];
export const ALWAYS = [...FIRST, "Offline"];

const NOT_KNOWN = new Map([
  ["absent", "not in Zoho's answer"],
  ["error", "Zoho answered with an error"],
]);

export function lookOf(word) {
  return Object.hasOwn(LOOKS, word) ? LOOKS[word] : OTHER_LOOKS[crc32(word) % OTHER_LOOKS.length];
}

function place(word) {
  const first = FIRST.indexOf(word);
  if (first >= 0) return first - FIRST.length;
  return LAST.indexOf(word) + 1;
}

export function inOrder(words) {
  return [...new Set(words)].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

// Under which of the counted statuses (`counted`, a set) a row's status falls, and what more there is to say of it.
export function groupOf(status, counted) {
  if (counted.has(status)) return [status, ""];
  if (NOT_KNOWN.has(status)) return ["unknown", NOT_KNOWN.get(status)];
  return ["other", status];
}

function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}
