// The agents: a heading and a list for each status, whoever is in it for the longest time first, and their ticking.

import { duration, timeText } from "./clock.js";
import { element } from "./choice.js";
import { lookOf } from "./looks.js";

const MOVED_MS = 5000;

export class People {
  constructor(parent, clock) {
    this.parent = parent;
    this.clock = clock;
    this.groups = new Map();
    this.headings = 0;
    this.made = new Map();
    let asked = false;
    const catchUp = () => {
      asked = false;
      this.tick();
    };
    const moved = () => {
      if (!asked) requestAnimationFrame(catchUp);
      asked = true;
    };
    addEventListener("scroll", moved, { passive: true });
    addEventListener("resize", moved, { passive: true });
    // What leaves the screen is not only what is in view on it.
    for (const leaving of ["beforeprint", "copy"]) addEventListener(leaving, () => this.#tickAll());
  }

  // `groups` in order: {word, rows}, the rows with `key`, `name`, `team`, `detail` and `since` (milliseconds or NaN).
  show(groups) {
    const gone = new Set(this.made.keys());
    for (const { word, rows } of groups) {
      for (const row of rows) {
        gone.delete(row.key);
        this.#person(row, word);
      }
    }
    for (const key of gone) this.#remove(key);
    const words = new Set(groups.map((group) => group.word));
    for (const [word, group] of this.groups) {
      if (words.has(word)) continue;
      group.section.remove();
      this.groups.delete(word);
    }
    const shown = groups.map(({ word, rows }) => {
      const group = this.groups.get(word) ?? this.#makeGroup(word);
      group.count.data = String(rows.length);
      putInOrder(group.list, rows.map((row) => this.made.get(row.key).item));
      return group.section;
    });
    putInOrder(this.parent, shown);
    this.tick();
  }

  // Brings the times in view up to date, and no others: of ten thousand agents a screen shows two hundred.
  tick() {
    const seen = [];
    for (const { list } of this.groups.values()) inView(list, seen);
    const now = this.clock.now();
    for (const item of seen) tickOne(item.person, now);
  }

  #tickAll() {
    const now = this.clock.now();
    for (const person of this.made.values()) tickOne(person, now);
  }

  // Times since which agents have their status name the day too once that is over.
  newDay() {
    const now = this.clock.now();
    for (const person of this.made.values()) person.since.data = sinceText(person.row, now);
  }

  #makeGroup(word) {
    const section = element("section", `group ${lookOf(word)}`, "");
    const heading = element("h2", "", "");
    heading.id = `group-${++this.headings}`;
    const number = element("span", "count", "");
    const count = number.appendChild(document.createTextNode(""));
    heading.append(element("span", `swatch look ${lookOf(word)}`, ""), element("span", "word", word), " ", number);
    const list = element("ul", "people", "");
    section.setAttribute("aria-labelledby", heading.id);
    section.append(heading, list);
    const group = { section, list, count };
    this.groups.set(word, group);
    return group;
  }

  #person(row, word) {
    let person = this.made.get(row.key);
    if (!person) {
      person = this.#makePerson(row.key);
      person.word = word;
    }
    const before = person.row;
    person.row = row;
    if (before?.name !== row.name) person.name.data = row.name;
    if (before?.team !== row.team || before?.detail !== row.detail) {
      person.more.data = [row.team, row.detail].filter(Boolean).join(", ");
    }
    if (before?.since !== row.since) {
      const now = this.clock.now();
      person.since.data = sinceText(row, now);
      tickOne(person, now);
    }
    if (person.word !== word) {
      person.word = word;
      person.item.remove();
      person.item.classList.add("moved");
      setTimeout(() => person.item.classList.remove("moved"), MOVED_MS);
    }
    return person;
  }

  #makePerson(key) {
    const item = element("li", "person", "");
    const texts = ["name", "time", "more", "since"].map((part) => {
      const holder = element("span", part, "");
      item.append(holder, " ");
      return holder.appendChild(document.createTextNode(""));
    });
    const person = { item, name: texts[0], time: texts[1], more: texts[2], since: texts[3] };
    this.made.set(key, person);
    item.person = person;
    return person;
  }

  #remove(key) {
    const person = this.made.get(key);
    person.item.remove();
    this.made.delete(key);
  }
}

// Adds the items of a list that are in view. They stand in rows from top to bottom, so the first one is found by
// halving; an observer of each would cost more with every frame than all that is shown.
function inView(list, seen) {
  const items = list.children;
  const bounds = list.getBoundingClientRect();
  if (bounds.bottom < 0 || bounds.top > innerHeight) return;
  let first = 0;
  for (let end = items.length; first < end; ) {
    const middle = (first + end) >> 1;
    if (items[middle].getBoundingClientRect().bottom < 0) first = middle + 1;
    else end = middle;
  }
  // Neighbours in a row are not equally high.
  first = Math.max(0, first - 12);
  for (let item = items[first]; item; item = item.nextElementSibling) {
    if (item.getBoundingClientRect().top > innerHeight) break;
    seen.push(item);
  }
}

function tickOne(person, now) {
  const { since } = person.row;
  const text = Number.isFinite(since) ? duration(now - since) : "";
  if (person.time.data === text) return;
  person.time.data = text;
  // Its room does not follow its text, or each tick would lay out the box anew.
  person.time.parentElement.classList.toggle("days", text.length > "23:59:59".length);
}

function sinceText(row, now) {
  return Number.isFinite(row.since) ? `since ${timeText(row.since, now)}` : "";
}

// Only what is not in its place is moved, so a poll that changes little costs little.
function putInOrder(parent, children) {
  let next = parent.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
