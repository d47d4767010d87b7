// Shows what is known of the bar that the pointer or the keyboard is at, and lets the arrow keys go from bar to bar.
// Without this script each bar has its title, and all ways to other times are links.

const told = document.getElementById("told");
const GAP = 6;
const LINGER_MS = 250;
const linesOfBars = new WeakMap();
let shownFor = null;
let leaving;

function linesOf(bar) {
  const title = bar.querySelector(":scope > title");
  if (title) {
    const lines = title.textContent.split("\n");
    bar.setAttribute("aria-label", lines.join(" "));
    // All but the last end in a mark that joins them.
    linesOfBars.set(bar, [...lines.slice(0, -1).map((line) => line.slice(0, -1)), lines.at(-1)]);
    // The browser's own hint would cover ours.
    title.remove();
  }
  return linesOfBars.get(bar);
}

function boxOf(bar) {
  // Of what is drawn, not of its texture, which may stick out.
  const shape = bar.querySelector(":scope > rect, :scope > g");
  return shape.getBoundingClientRect();
}

function show(bar) {
  clearTimeout(leaving);
  told.replaceChildren(
    ...linesOf(bar).map((part) => {
      const line = document.createElement("p");
      line.textContent = part;
      return line;
    }),
  );
  told.hidden = false;
  shownFor = bar;
  place(bar);
}

function place(bar) {
  const box = boxOf(bar);
  const view = document.documentElement;
  const width = told.offsetWidth;
  const height = told.offsetHeight;
  const middle = Math.max(box.left, 0) / 2 + Math.min(box.right, view.clientWidth) / 2;
  const left = Math.min(Math.max(middle - width / 2, GAP), view.clientWidth - width - GAP);
  const below = box.bottom + GAP + height <= view.clientHeight || box.top < height + GAP;
  told.style.left = `${left + window.scrollX}px`;
  told.style.top = `${(below ? box.bottom + GAP : box.top - GAP - height) + window.scrollY}px`;
}

function hide() {
  clearTimeout(leaving);
  told.hidden = true;
  shownFor = null;
}

function hideSoon() {
  // The pointer may be on its way to the text, to mark and copy it.
  clearTimeout(leaving);
  leaving = setTimeout(() => {
    const focused = barOf(document.activeElement);
    focused ? show(focused) : hide();
  }, LINGER_MS);
}

function barOf(target) {
  return target instanceof Element ? target.closest(".bar") : null;
}

const lanes = [...document.querySelectorAll(".drawn .picture > g[role=group]")];

function barsOf(lane) {
  return [...lane.querySelectorAll(":scope > .bar")];
}

function nearest(lane, x) {
  let best = null;
  let least = Infinity;
  for (const bar of barsOf(lane)) {
    const box = boxOf(bar);
    const away = x < box.left ? box.left - x : x > box.right ? x - box.right : 0;
    if (away < least) {
      best = bar;
      least = away;
    }
  }
  return best;
}

function otherLane(lane, way, x) {
  for (let at = lanes.indexOf(lane) + way; at >= 0 && at < lanes.length; at += way) {
    const bar = nearest(lanes[at], x);
    if (bar) {
      return bar;
    }
  }
  return null;
}

function next(bar, key) {
  const lane = bar.parentElement;
  const bars = barsOf(lane);
  const at = bars.indexOf(bar);
  const box = boxOf(bar);
  const middle = (box.left + box.right) / 2;
  switch (key) {
    case "ArrowRight":
      return bars[at + 1];
    case "ArrowLeft":
      return bars[at - 1];
    case "Home":
      return bars[0];
    case "End":
      return bars[bars.length - 1];
    case "ArrowDown":
      return otherLane(lane, 1, middle);
    case "ArrowUp":
      return otherLane(lane, -1, middle);
    default:
      return undefined;
  }
}

function stopAt(bar) {
  for (const other of bar.parentElement.querySelectorAll(":scope > .bar[tabindex='0']")) {
    other.setAttribute("tabindex", "-1");
  }
  bar.setAttribute("tabindex", "0");
}

if (told) {
  const drawn = document.querySelector(".drawn");
  drawn.addEventListener("pointerover", (event) => {
    const bar = barOf(event.target);
    if (bar) {
      show(bar);
    } else if (told.contains(event.target)) {
      clearTimeout(leaving);
    } else {
      hideSoon();
    }
  });
  drawn.addEventListener("pointerleave", hideSoon);
  drawn.addEventListener("focusin", (event) => {
    const bar = barOf(event.target);
    if (bar) {
      stopAt(bar);
      show(bar);
    }
  });
  drawn.addEventListener("focusout", hide);
  drawn.addEventListener("keydown", (event) => {
    const bar = barOf(event.target);
    if (event.key === "Escape") {
      hide();
    }
    if (!bar || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    const other = next(bar, event.key);
    if (other !== undefined) {
      event.preventDefault();
      other?.focus();
      // The browser is content with a part of it, the rest of which may be beneath the names.
      other?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  });
  document.querySelector(".drawn .wide").addEventListener("scroll", () => shownFor && place(shownFor));
  window.addEventListener("resize", () => shownFor && place(shownFor));
}

const zones = document.getElementById("zones");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zones && here && ![...zones.options].some((option) => option.value === here)) {
  zones.append(new Option("", here));
}
