// Which teams and statuses are shown, kept in the address of the page: whoever opens it sees the same.

export class Choice {
  constructor() {
    this.read();
  }

  read() {
    const asked = new URLSearchParams(location.search);
    this.team = new Set(asked.getAll("team"));
    this.status = new Set(asked.getAll("status"));
  }

  get any() {
    return this.team.size + this.status.size > 0;
  }

  hasTeam(team) {
    return this.team.size === 0 || this.team.has(team);
  }

  hasStatus(status) {
    return this.status.size === 0 || this.status.has(status);
  }

  // `name` is "team" or "status".
  set(name, value, chosen) {
    if (chosen) this[name].add(value);
    else this[name].delete(value);
    this.#write();
  }

  clear() {
    this.team.clear();
    this.status.clear();
    this.#write();
  }

  #write() {
    const asked = new URLSearchParams();
    for (const name of ["team", "status"]) {
      for (const value of [...this[name]].sort()) asked.append(name, value);
    }
    const search = asked.size ? `?${asked}` : "";
    history.replaceState(null, "", location.pathname + search + location.hash);
  }
}

// Keeps a row of labelled check boxes in step with `entries` ({value, text, count, look}) without losing the focus.
export class Boxes {
  constructor(parent, name, kind, changed) {
    this.parent = parent;
    this.name = name;
    this.kind = kind;
    this.changed = changed;
    this.made = new Map();
  }

  show(entries, chosen) {
    const wanted = new Set(entries.map((entry) => entry.value));
    for (const [value, box] of this.made) {
      if (wanted.has(value)) continue;
      box.label.remove();
      this.made.delete(value);
    }
    entries.forEach((entry, place) => {
      const box = this.made.get(entry.value) ?? this.#make(entry);
      if (this.parent.children[place] !== box.label) {
        this.parent.insertBefore(box.label, this.parent.children[place] ?? null);
      }
      box.input.checked = chosen.has(entry.value);
      if (box.count.data === entry.count) return;
      box.count.data = entry.count;
      box.label.dataset.digits = entry.count.length;
    });
  }

  // Of many boxes some are scrolled out of view: whoever opens the page with a choice made should see it.
  reveal() {
    const first = [...this.made.values()].filter((box) => box.input.checked).map((box) => box.label.offsetTop);
    if (first.length > 0) this.parent.scrollTop = Math.min(...first) - this.parent.offsetTop;
  }

  #make(entry) {
    const label = document.createElement("label");
    label.className = this.kind;
    const input = document.createElement("input");
    input.type = "checkbox";
    input.name = this.name;
    input.value = entry.value;
    input.addEventListener("change", () => this.changed(this.name, entry.value, input.checked));
    const word = element("span", "word", entry.text);
    const number = element("span", "count", "");
    const count = number.appendChild(document.createTextNode(""));
    label.append(input, ...(entry.look ? [element("span", `swatch look ${entry.look}`, "")] : []), word, " ", number);
    const box = { label, input, count };
    this.made.set(entry.value, box);
    return box;
  }
}

export function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
