// Writes numbers for people, and draws line charts on canvas: axes with units, gaps where data is missing, values under the
// pointer. It uses no library: the code for a chart of one field is short, and nothing is fetched from elsewhere.
"use strict";

const TIME = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1 };

// Numbers are written by the rules of hermon/amounts, as in the rest of hermon.

// At most so many decimals, without zeros at the end; below 1 two nonzero digits.
const digits = (number, decimals) => number.toLocaleString("en",
  Math.abs(number) < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: decimals });

// All digits of a whole number; otherwise one decimal below 1,000.
function plain(number) {
  if (!Number.isFinite(number)) return String(number);
  return digits(number, Math.abs(number) < 1000 ? 1 : 0);
}

// Writes three digits.
function scaled(number) {
  const size = Math.abs(number);
  return digits(number, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

// Finds the first unit for which the number is not too large: [unit, its size in the unit before, the limit].
function fit(number, units) {
  let last = "";
  for (const [unit, step, limit] of units) {
    number /= step;
    last = unit;
    if (Math.abs(number) < limit) break;
  }
  return `${scaled(number)} ${last}`;
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].map((unit, at) => [unit, at ? 1024 : 1, 1023.5]);
const TIMES = [["ns", 1, 999.5], ["µs", 1000, 999.5], ["ms", 1000, 999.5], ["s", 1000, 120], ["min", 60, 120], ["h", 60, 48], ["d", 24, Infinity]];

// Writes a number with its unit.
function human(number, unit) {
  if (unit === "bytes") return fit(number, BYTES);
  if (unit in TIME) return fit(number * TIME[unit] * 1e9, TIMES);
  if (unit === "permille") return `${plain(number / 10)} %`;
  if (unit === "percent") return `${plain(number)} %`;
  return plain(number);
}

// Writes the rate of a counter. A time per second is a share of a core.
function humanRate(perSecond, unit) {
  return unit in TIME ? `${plain(perSecond * TIME[unit] * 100)} %` : `${human(perSecond, unit)}/s`;
}

// Converts samples [ms, value] to points of a line. null ends a stretch: at a missing sample, a restart, or NaN.
function toPoints(samples, counts) {
  const steps = samples.slice(1).map((sample, at) => sample[0] - samples[at][0]).sort((a, b) => a - b);
  const usual = steps.length ? steps[steps.length >> 1] : 0;
  const points = [];
  let before = null;
  for (const [time, value] of samples) {
    const missing = before !== null && time - before[0] > 3 * usual;
    if (missing || value === null) points.push(null);
    if (value === null) { before = null; continue; }
    if (!counts) points.push([time, value]);
    else if (before !== null && !missing) {
      if (value < before[1]) points.push(null);
      else points.push([time, (value - before[1]) * 1000 / (time - before[0])]);
    }
    before = [time, value];
  }
  return points;
}

// Returns round numbers from least to most: the finest steps that give at most `count` and at least two. For bytes they are
// multiples of powers of two.
function ticks(least, most, count, unit) {
  const range = most - least;
  // The ends are so near that a double can hardly distinguish them, or infinitely far apart.
  if (!(range > 1e-12 * Math.max(Math.abs(least), Math.abs(most))) || !Number.isFinite(range)) return [least];
  const base = unit === "bytes" ? 2 : 10, times = base === 2 ? [1] : [5, 2, 1];
  let all = [];
  for (let power = Math.floor(Math.log(range) / Math.log(base)) + 1; ; power -= 1) {
    for (const by of times) {
      const step = by * base ** power, next = [];
      for (let at = Math.ceil(least / step - 1e-9); at * step <= most + step * 1e-9; at += 1) next.push(at * step + 0);
      if (next.length > count && all.length >= 2) return all;
      all = next;
      if (all.length > 4 * count) return all;
    }
  }
}

class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
    this.pointer = null;
    const move = (event) => { this.pointer = event.offsetX; this.draw(); };
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
  }

  // Shows these samples between two times in ms.
  show(samples, { unit, counts, from, to }) {
    Object.assign(this, { unit, counts, from, to });
    const inside = samples.filter(([time]) => time >= from && time <= to);
    this.points = toPoints(inside, counts);
    this.draw();
  }

  text(value) { return this.counts ? humanRate(value, this.unit) : human(value, this.unit); }

  draw() {
    const { canvas } = this, scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(name);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${style.fontFamily}`;
    const known = this.points.filter((point) => point !== null);
    canvas.dataset.points = known.length;
    if (!known.length) return;

    let least = Math.min(...known.map((point) => point[1])), most = Math.max(...known.map((point) => point[1]));
    // A rate, and values near zero, are shown from zero. Otherwise small changes would look like large ones.
    if (this.counts || (least > 0 && least < most / 2)) least = Math.min(least, 0);
    if (most === least) { most += Math.abs(most) / 10 || 1; if (!this.counts && least !== 0) least -= Math.abs(least) / 10; }
    const high = ticks(least, most, Math.max(3, Math.floor(height / 30)), this.unit);
    const left = Math.max(...high.map((value) => pen.measureText(this.text(value)).width)) + 8;
    const [right, top, bottom] = [width - 6, 6, height - 16];
    const x = (time) => left + (time - this.from) / (this.to - this.from || 1) * (right - left);
    const y = (value) => bottom - (value - least) / (most - least) * (bottom - top);

    pen.fillStyle = colour("--quiet");
    pen.strokeStyle = colour("--edge");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of high) {
      pen.fillText(this.text(value), left - 5, y(value));
      pen.beginPath();
      pen.moveTo(left, y(value));
      pen.lineTo(right, y(value));
      pen.stroke();
    }
    pen.textBaseline = "alphabetic";
    const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
    pen.textAlign = "left";
    pen.fillText(clock(this.from), left, height - 3);
    pen.textAlign = "right";
    pen.fillText(clock(this.to), right, height - 3);

    pen.strokeStyle = pen.fillStyle = colour("--line");
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    for (const stretch of this.stretches()) {
      pen.beginPath();
      for (const [time, value] of stretch) pen.lineTo(x(time), y(value));
      pen.stroke();
      const last = stretch[stretch.length - 1];
      if (stretch.length === 1) pen.fillRect(x(last[0]) - 1.5, y(last[1]) - 1.5, 3, 3);
      pen.lineTo(x(last[0]), bottom);
      pen.lineTo(x(stretch[0][0]), bottom);
      pen.fillStyle = colour("--fill");
      pen.fill();
      pen.fillStyle = colour("--line");
    }
    if (this.pointer === null) return;
    const near = known.reduce((best, point) => Math.abs(x(point[0]) - this.pointer) < Math.abs(x(best[0]) - this.pointer) ? point : best);
    const label = `${this.text(near[1])}  ${clock(near[0])}`, wide = pen.measureText(label).width + 10;
    const place = Math.min(Math.max(x(near[0]) - wide / 2, left), right - wide);
    pen.strokeStyle = colour("--quiet");
    pen.beginPath();
    pen.moveTo(x(near[0]), top);
    pen.lineTo(x(near[0]), bottom);
    pen.stroke();
    pen.beginPath();
    pen.arc(x(near[0]), y(near[1]), 3, 0, 7);
    pen.fill();
    pen.fillStyle = colour("--card");
    pen.fillRect(place, top - 4, wide, 16);
    pen.fillStyle = colour("--text");
    pen.textAlign = "left";
    pen.fillText(label, place + 5, top + 8);
    canvas.dataset.hover = label;
  }

  *stretches() {
    let stretch = [];
    for (const point of [...this.points, null]) {
      if (point !== null) stretch.push(point);
      else if (stretch.length) { yield stretch; stretch = []; }
    }
  }
}
