// The heap: takes traces from a machine, and shows the last one as a flame graph. Each status has the progress of a trace.
"use strict";

const flame = new Flame(byId("flame"), byId("profile-note"));
// The number of the server's profiles so far; -1: none was asked for.
const heap = { taken: -1 };

function takeFault(text) {
  byId("take-fault").textContent = text;
  byId("take-fault").hidden = !text;
}

async function askProfile() {
  try {
    const answer = await fetch(`/profile.json?value=${byId("take-value").value}`);
    if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
    flame.show(await answer.json());
  } catch (error) {
    byId("profile-note").textContent = error.message;
  }
}

// Does not touch the list while it is right, so that an open list does not close.
function showMachines(machines, shown) {
  const select = byId("take-vm");
  if (machines.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    const before = select.value;
    select.replaceChildren(...machines.map((name) => new Option(name || "(no vm)", name)));
    select.value = [before, shown].find((name) => name && machines.includes(name)) ?? machines[0] ?? "";
  }
  byId("take-from").hidden = machines.length < 2;
}

function showGoing(going, fault) {
  byId("take-state").textContent = going
    ? `${going.vm || "the image"}: ${going.elapsed} of ${going.seconds} s, ${human(going.bytes, "bytes")}, ${plain(going.samples)} samples` : "";
  if (going) takeFault("");
  else if (fault) takeFault(fault);
}

function showHeap({ file, trace }, shown) {
  byId("take").hidden = !trace;
  byId("again").hidden = !file || trace?.taken > 0;
  flame.none = trace ? "There is no profile yet: take a trace to see which code allocates." : "There is no profile: --trace ADDRESS:PORT lets this page take a trace, --profile FILE shows folded stacks or a document of speedscope.";
  if (trace) {
    showMachines(trace.machines, shown);
    showGoing(trace.going, trace.fault);
    byId("take-trace").disabled = Boolean(trace.going) || !trace.machines.length;
    byId("take-shown").hidden = !trace.taken;
  }
  const taken = trace?.taken ?? 0;
  if (taken !== heap.taken) {
    heap.taken = taken;
    if (!trace?.fault) takeFault("");
    askProfile();
  }
}

byId("take-trace").addEventListener("click", async () => {
  takeFault("");
  byId("take-trace").disabled = true;
  byId("take-state").textContent = "asked for";
  try {
    await ask("/trace", change({ seconds: Number(byId("take-seconds").value) }), byId("take-vm").value);
  } catch (error) {
    byId("take-state").textContent = "";
    takeFault(error.message);
  }
});
byId("take-value").addEventListener("change", askProfile);
byId("again").addEventListener("click", askProfile);
