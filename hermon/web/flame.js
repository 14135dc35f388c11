// Draws a flame graph upside down: the root is on top, and each frame is as wide as its value. A click on a frame widens it.
"use strict";

const ROW = 22;
// A frame narrower than this, in pixels, is not drawn, because nobody could see it.
const NARROW = 1.5;

class Flame {
  constructor(place, note) {
    this.place = place;
    this.note = note;
    this.profile = null;
    this.top = 0;
    // The text when there is no profile.
    this.none = "";
    new ResizeObserver(() => this.draw()).observe(place);
  }

  // `profile`: {name, unit, names, nodes: [{name, parent, value}], left_out}, or null.
  show(profile) {
    this.profile = profile;
    this.top = 0;
    this.children = [];
    if (profile) {
      this.children = profile.nodes.map(() => []);
      profile.nodes.forEach((node, at) => { if (at > 0) this.children[node.parent].push(at); });
      for (const group of this.children) group.sort((a, b) => profile.nodes[b].value - profile.nodes[a].value);
    }
    this.draw();
  }

  text(value) { return this.profile.unit === "bytes" ? human(value, "bytes") : `${plain(value)} ${this.profile.unit}`.trim(); }

  draw() {
    const { place, profile, note } = this;
    place.replaceChildren();
    if (!profile) {
      place.style.height = "0";
      note.textContent = this.none;
      return;
    }
    const total = profile.nodes[0].value;
    note.textContent = `${profile.name}: ${this.text(total)}${profile.left_out ? `, of which ${this.text(profile.left_out)} are in frames left out` : ""}`;
    if (!total) {
      place.style.height = "0";
      return;
    }
    const width = place.clientWidth, frames = document.createDocumentFragment();
    let deepest = 0;
    const add = (at, depth, left, wide, faded) => {
      const node = profile.nodes[at], name = profile.names[node.name];
      const frame = document.createElement("button");
      frame.type = "button";
      frame.textContent = name;
      frame.title = `${name}\n${this.text(node.value)}, ${total ? (100 * node.value / total).toFixed(2) : 0} %`;
      frame.className = faded ? "faded" : "";
      // The colour depends on the name, so that a function has the same colour everywhere.
      let hash = 0;
      for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 997;
      frame.style.cssText = `left:${left}px;top:${depth * ROW}px;width:${wide}px;background:hsl(${20 + hash % 35} 85% ${62 + hash % 12}%)`;
      frame.addEventListener("click", () => { this.top = at; this.draw(); });
      frames.append(frame);
      deepest = Math.max(deepest, depth);
    };
    const above = [];
    for (let at = this.top; at !== 0;) { at = profile.nodes[at].parent; above.unshift(at); }
    above.forEach((at, depth) => add(at, depth, 0, width, true));
    const rest = [[this.top, above.length, 0, width]];
    while (rest.length) {
      const [at, depth, left, wide] = rest.pop();
      add(at, depth, left, wide, false);
      let next = left;
      for (const child of this.children[at]) {
        const share = wide * profile.nodes[child].value / profile.nodes[at].value;
        if (!(share >= NARROW)) break;
        rest.push([child, depth + 1, next, share]);
        next += share;
      }
    }
    place.style.height = `${(deepest + 1) * ROW}px`;
    place.append(frames);
  }
}
