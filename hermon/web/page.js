// The page: follows the server's events, keeps the samples of the window, draws the visible part.
"use strict";

const byId = (id) => document.getElementById(id);
// The number of samples of a field that the page keeps; the server keeps 300.
const MAX_SAMPLES = 600;

const page = { vm: new URLSearchParams(location.search).get("vm"), series: new Map(), held: false, changed: false, visible: new Set(), counted: [] };

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// --- data that arrives

function follow() {
  page.events?.close();
  page.events = new EventSource(`/events${page.vm === null ? "" : `?vm=${encodeURIComponent(page.vm)}`}`);
  page.events.addEventListener("open", () => { byId("state").textContent = ""; });
  page.events.addEventListener("error", () => { byId("state").textContent = "hermon does not answer; what you see is old"; });
  page.events.addEventListener("status", (event) => status(JSON.parse(event.data)));
  page.events.addEventListener("points", (event) => points(JSON.parse(event.data)));
}

function status({ machines, points, losses, fault, heap }) {
  // The mean over the last ten seconds, once there are two statuses.
  page.counted.push({ points, now: performance.now() });
  if (page.counted.length > 10) page.counted.shift();
  const first = page.counted[0], last = page.counted[page.counted.length - 1];
  const rate = page.counted.length > 1 ? `, ${plain(Math.max(0, Math.round((last.points - first.points) * 1000 / (last.now - first.now))))}/s` : "";
  byId("count").textContent = `${plain(points)} points${rate}`;
  const lost = losses.map(([count, what]) => `${plain(count)} ${what}`).concat(fault ? [fault] : []);
  byId("losses").textContent = lost.join(", ");
  byId("losses").hidden = !lost.length;
  const shown = page.shown ?? machines[0]?.name;
  showHeap(heap, shown);
  byId("machines").replaceChildren(...machines.map(({ name, age, control }) => {
    const button = element("button", `${name || "(no vm)"} ${age < 1 ? "now" : human(age, "s")}`, { type: "button", "aria-pressed": name === shown });
    button.classList.toggle("silent", age > 35);
    button.addEventListener("click", () => choose(name));
    if (name === shown && page.control !== `${name} ${control}`) {
      page.control = `${name} ${control}`;
      page.hasControl = control;
      askStates();
    }
    return button;
  }));
}

function choose(vm) {
  page.vm = vm;
  history.replaceState(null, "", `?vm=${encodeURIComponent(vm)}`);
  follow();
}

function points(message) {
  if (message.kind === "all") {
    page.shown = message.vm;
    for (const { card } of allFields()) page.observer.unobserve(card);
    page.series.clear();
    page.visible.clear();
    byId("sources").replaceChildren();
    if (message.shortened !== null) byId("sources").append(element("p", `many fields: only the last ${message.shortened} samples of each are shown`));
    document.title = `${message.vm || "hermon"} - hermon`;
  }
  for (const series of message.series) introduce(series);
  for (const { series, field, counts, last, sample } of message.changes ?? []) {
    const known = page.series.get(series)?.fields[field];
    if (!known) continue;
    Object.assign(known, { counts, last });
    if (sample) insert(known.samples, sample);
  }
  page.changed = true;
}

// The sample is nearly always the newest. A sample for a time that is already there replaces it.
function insert(samples, sample) {
  let at = samples.length;
  while (at > 0 && samples[at - 1][0] > sample[0]) at -= 1;
  if (at > 0 && samples[at - 1][0] === sample[0]) samples[at - 1] = sample;
  else samples.splice(at, 0, sample);
  if (samples.length > MAX_SAMPLES) samples.shift();
}

function introduce({ id, source, tags, from, fields }) {
  let series = page.series.get(id);
  if (!series) {
    const section = document.createElement("section"), heading = element("h2", source), grid = document.createElement("div");
    grid.className = "fields";
    heading.append(element("small", tags));
    const toggle = element("button", "", { type: "button", role: "switch", "aria-label": `metrics of ${source}`, hidden: "" });
    toggle.addEventListener("click", () => order({ metric: source, on: toggle.getAttribute("aria-checked") !== "true" }));
    heading.append(toggle);
    section.append(heading, grid);
    series = { source, tags, key: `${source}\n${tags}`, fields: [], section, grid, toggle };
    const after = [...page.series.values()].filter((other) => other.key > series.key).sort((a, b) => a.key < b.key ? -1 : 1)[0];
    byId("sources").insertBefore(section, after?.section ?? null);
    page.series.set(id, series);
    showSwitches();
  }
  fields.forEach((field, at) => {
    const card = byId("field").content.firstElementChild.cloneNode(true);
    card.querySelector("h3").textContent = field.name;
    card.querySelector(".meaning").textContent = field.meaning;
    card.dataset.field = `${source} ${field.name}`;
    const canvas = card.querySelector("canvas");
    canvas.addEventListener("dblclick", () => { card.classList.toggle("wide"); page.changed = true; });
    canvas.title = "double click: larger";
    const shown = { ...field, card, chart: new Chart(canvas) };
    card.shown = shown;
    series.fields[from + at] = shown;
    series.grid.append(card);
    page.observer.observe(card);
  });
}

function* allFields() { for (const { fields } of page.series.values()) yield* fields; }

// --- drawing

page.observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) isIntersecting ? page.visible.add(target) : page.visible.delete(target);
  page.changed = true;
});

function draw() {
  requestAnimationFrame(draw);
  if (!page.changed || page.held) return;
  page.changed = false;
  const words = byId("filter").value.toLowerCase().split(/\s+/), lossesOnly = byId("only-losses").checked;
  // The right edge is the machine's newest sample, by its clock.
  let [to, oldest] = [-Infinity, Infinity];
  for (const { samples } of allFields()) {
    if (!samples.length) continue;
    to = Math.max(to, samples[samples.length - 1][0]);
    oldest = Math.min(oldest, samples[0][0]);
  }
  const from = Math.max(oldest, to - 1000 * Number(byId("window").value));
  for (const { source, tags, fields, section } of page.series.values()) {
    let any = false;
    for (const field of fields) {
      const name = `${source} ${tags} ${field.name}`.toLowerCase(), bad = field.loss && Number(field.last) > 0;
      field.card.hidden = !words.every((word) => name.includes(word)) || (lossesOnly && !bad);
      any ||= !field.card.hidden;
      if (!field.card.hidden && page.visible.has(field.card)) drawField(field, from, to, bad);
    }
    section.hidden = !any;
  }
}

function drawField(field, from, to, bad) {
  const { card, samples, unit, counts, chart, last } = field, value = card.querySelector(".value");
  card.classList.toggle("loss", bad);
  const number = samples.length ? Number(last) : NaN;
  let text = last;
  if (unit === "date" && Number.isFinite(number)) text = new Date(number * 1000).toISOString().replace(/\.000/, "");
  else if (unit && Number.isFinite(number)) text = human(number, unit);
  else if (/^-?\d+$/.test(last)) text = BigInt(last).toLocaleString("en");
  value.textContent = text;
  if (counts) {
    const rates = toPoints(samples.slice(-2), true).filter((point) => point !== null);
    if (rates.length) value.append(" ", element("small", humanRate(rates[0][1], unit)));
  }
  const canvas = card.querySelector("canvas");
  canvas.hidden = !samples.length || unit === "date";
  if (canvas.hidden) return;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${field.name}: ${value.textContent}`);
  chart.show(samples, { unit, counts, from, to });
}

// --- switches and levels

async function ask(path, options, vm = page.shown ?? "") {
  const answer = await fetch(`${path}?vm=${encodeURIComponent(vm)}`, options);
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer.json();
}

function fault(text) {
  byId("fault").textContent = text;
  byId("fault").hidden = !text;
}

async function askStates() {
  page.states = null;
  if (page.hasControl) {
    try {
      page.states = await ask("/control.json", {});
      fault("");
    } catch (error) {
      fault(error.message);
    }
  }
  showSwitches();
  showLevels();
}

const change = (wanted) => ({ method: "POST", headers: { "content-type": "application/json", "x-hermon": "1" }, body: JSON.stringify(wanted) });

async function order(wanted) {
  try {
    await ask("/control", change(wanted));
    await askStates();
  } catch (error) {
    await askStates();
    fault(error.message);
  }
}

// A source that is off and never sent a point has no charts, only its switch.
function showSwitches() {
  const states = new Map((page.states?.metrics ?? []).map(({ name, on }) => [name, on]));
  for (const { source, toggle } of page.series.values()) {
    const on = states.get(source);
    toggle.hidden = on === undefined;
    toggle.setAttribute("aria-checked", on === true);
    toggle.textContent = on ? "on" : "off";
  }
  const heard = new Set([...page.series.values()].map(({ source }) => source));
  const silent = [...states].filter(([name]) => !heard.has(name) && name !== "*" && !name.startsWith("tag:"));
  byId("silent")?.remove();
  if (!silent.length) return;
  const section = element("section", "", { id: "silent" });
  for (const [name, on] of silent) {
    const heading = element("h2", name);
    const toggle = element("button", on ? "on" : "off", { type: "button", role: "switch", "aria-checked": on, "aria-label": `metrics of ${name}` });
    toggle.addEventListener("click", () => order({ metric: name, on: !on }));
    heading.append(element("small", "not heard of yet"), toggle);
    section.append(heading);
  }
  byId("sources").after(section);
}

function showLevels() {
  byId("logs").hidden = !page.states;
  byId("levels").replaceChildren(...(page.states?.logs ?? []).map(({ name, level }) => {
    const label = element("label", name === "*" ? "all others (*)" : name), select = document.createElement("select");
    select.dataset.log = name;
    // A level that the page does not know is shown as the image sent it.
    const known = page.states.levels;
    for (const choice of known.includes(level) ? known : [level, ...known]) select.append(new Option(choice, choice, false, choice === level));
    select.addEventListener("change", () => order({ log: name, level: select.value }));
    label.append(select);
    return label;
  }));
}

byId("tools").addEventListener("input", () => { page.changed = true; });
byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("hold").addEventListener("click", () => {
  page.held = !page.held;
  page.changed = true;
  byId("hold").setAttribute("aria-pressed", page.held);
});
window.addEventListener("resize", () => { page.changed = true; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { page.changed = true; });
// After heap.js has been loaded, too.
addEventListener("DOMContentLoaded", () => {
  follow();
  draw();
});
