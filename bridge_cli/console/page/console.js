// The console's page: what the stream tells is drawn, what is pressed is sent. Everything that comes
// from logs is written as text, never as markup; the server's policy (CSP) holds that too.

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const OWN_SECONDS = 3;
const csrfToken = document.querySelector('meta[name="csrf-token"]').content;

const state = { calls: new Map(), sections: {}, fixed: null, chosen: null, own: null, skew: 0, wanted: null };

// --- small pieces --------------------------------------------------------------------------------

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "onclick") element.addEventListener("click", value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
  return element;
}

function draw(name, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== null) element.textContent = text;
  return element;
}

// Replaces a list's items one by one, so that what has not changed keeps its focus and place.
function keep(list, items, keyOf, build) {
  const present = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    const content = JSON.stringify(item);
    let child = present.get(key);
    if (child === undefined || child.dataset.content !== content) {
      const next = build(item);
      next.dataset.key = key;
      next.dataset.content = content;
      if (child !== undefined) {
        const hadFocus = child.contains(document.activeElement);
        if (child === place) place = child.nextElementSibling;
        child.replaceWith(next);
        if (hadFocus) next.querySelector("button")?.focus();
        present.delete(key);
        child = next;
        list.insertBefore(child, place);
        continue;
      }
      child = next;
    }
    present.delete(key);
    if (child === place) place = place.nextElementSibling;
    else list.insertBefore(child, place);
  }
  for (const child of present.values()) child.remove();
}

const clockTime = (seconds) => seconds === null || seconds === undefined ? "" : new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
const serverNow = () => Date.now() / 1000 - state.skew;

function age(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function took(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  if (milliseconds < 0.05) return "< 1 ms";
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

function tone(status) {
  if (status === null || status === undefined) return "";
  if (status < 400) return "ok";
  if (status === 429 || status >= 500) return "warn";
  return "bad";
}

// --- the stream ----------------------------------------------------------------------------------

let source = null;
let heard = 0;
let retry = null;

function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource("/stream");
  source.addEventListener("snapshot", (event) => takeSnapshot(JSON.parse(event.data)));
  source.addEventListener("section", (event) => { const { name, value } = JSON.parse(event.data); takeSection(name, value); });
  source.addEventListener("calls", (event) => takeCalls(JSON.parse(event.data)));
  source.onerror = () => {
    lose();
    // A browser does not come again by itself after an answer that was no stream.
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, 2000);
  };
}

function takeSnapshot(snapshot) {
  if (state.fixed !== null && state.fixed.start !== snapshot.fixed.start) {
    // Another start of `bridge up`: this page's token and calls are of the one before.
    location.reload();
    return;
  }
  const isFirst = state.fixed === null;
  state.fixed = snapshot.fixed;
  state.skew = Date.now() / 1000 - snapshot.now;
  if (isFirst) showFixed();
  state.calls.clear();
  byId("gone").hidden = true;
  byId("app").hidden = false;
  showConnection("live", "Live");
  for (const button of document.querySelectorAll("[data-button]")) delete button.dataset.lost;
  for (const [name, value] of Object.entries(snapshot.sections)) takeSection(name, value);
  takeCalls(snapshot.calls);
}

function lose() {
  showConnection("lost", "Not connected");
  const gone = byId("gone");
  if (gone.hidden) {
    gone.replaceChildren(
      make("h2", {}, "The stack does not answer"),
      make("p", {}, "Its terminal was closed, or Ctrl-C was pressed there. Start it again with ", make("code", {}, "bridge up"), " (or ", make("code", {}, "make up"), "): this page then comes back by itself. What you see below is how it was last."),
    );
    gone.hidden = false;
  }
  for (const button of document.querySelectorAll("[data-button]")) button.dataset.lost = "1";
  showBusy();
}

function showConnection(kind, text) {
  const connection = byId("connection");
  connection.className = `connection ${kind}`;
  if (connection.textContent !== text) connection.textContent = text;
}

function takeSection(name, value) {
  state.sections[name] = value;
  if (name === "faults") { showTiles(); if (state.sections.sync) showSync(state.sections.sync); }
  if (name === "keys") { showKeys(); showTiles(); }
  if (name === "decisions") showDecisions(value);
  if (name === "sync") { showSync(value); showTiles(); }
  if (name === "trouble") showConnection(value === null ? "live" : "lost", value === null ? "Live" : `Looking failed (${value}), and goes on`);
  if (name === "presses") { showPresses(value); showBusy(); }
}

function takeCalls({ changed, ids }) {
  for (const call of changed) state.calls.set(call.id, call);
  const known = new Set(ids);
  for (const id of state.calls.keys()) if (!known.has(id)) state.calls.delete(id);
  showCalls(newestFirst());
}

const newestFirst = () => [...state.calls.values()].sort((one, other) => other.began - one.began);

// --- what does not change ------------------------------------------------------------------------

const GROUPS = [
  ["allowed", "Let in"],
  ["refused", "Refused, each for its own reason"],
  ["keys", "The signing keys"],
  ["faults", "Break it, and mend it"],
];

function buttonOf(button, kind = "") {
  const about = `about-${button.id}`;
  return make("div", { class: "try-one" },
    make("button", { type: "button", class: kind, "data-button": button.id, "aria-describedby": about, onclick: () => press(button.id) }, button.label),
    make("p", { id: about }, make("b", {}, "Seen: "), button.seen, " ", make("b", {}, "Shows: "), button.promise),
  );
}

function showFixed() {
  const { buttons, places } = state.fixed;
  const of = (group) => buttons.filter((button) => button.group === group);
  byId("groups").replaceChildren(...GROUPS.map(([group, title]) =>
    make("div", { class: "group", role: "group", "aria-labelledby": `group-${group}` },
      make("h3", { id: `group-${group}` }, title), ...of(group).map((button) => buttonOf(button)))));
  byId("sync-button").replaceChildren(...of("sync").map((button) => buttonOf(button)));
  byId("state-buttons").replaceChildren(...of("state").map((button) => buttonOf(button, "main")));
  byId("places").replaceChildren(...places.map(([name, place]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, make("code", {}, place)))));
}

// --- pressing ------------------------------------------------------------------------------------

async function press(id) {
  const button = document.querySelector(`[data-button="${id}"]`);
  if (button.getAttribute("aria-disabled") === "true") return;
  button.dataset.sent = "1";
  showBusy();
  try {
    const answer = await fetch(`/buttons/${encodeURIComponent(id)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrfToken },
      body: "{}",
    });
    const { code, number } = await answer.json();
    if (code === "stale_page") location.reload();
    if (number !== undefined) { state.wanted = number; state.own = null; }
  } catch {
    lose();
  } finally {
    delete button.dataset.sent;
    showBusy();
    followPress();
  }
}

function showBusy() {
  const running = new Set((state.sections.presses ?? []).filter((each) => each.verdict === null).map((each) => each.button));
  for (const button of document.querySelectorAll("[data-button]")) {
    const isBusy = running.has(button.dataset.button) || "sent" in button.dataset || "lost" in button.dataset;
    if (isBusy) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
}

const MARKS = { kept: ["✓", "As promised"], broken: ["✗", "Not as promised"], unclear: ["?", "Not to be seen now"] };

function showPresses(presses) {
  byId("no-presses").hidden = presses.length > 0;
  keep(byId("presses"), presses, (each) => each.number, (each) => {
    const [mark, words] = MARKS[each.verdict] ?? ["…", "Running"];
    return make("li", { class: `press ${each.verdict ?? "running"}`, "data-press": each.button, "data-verdict": each.verdict ?? "running" },
      make("span", { class: "mark", "aria-hidden": "true" }, mark),
      make("div", {}, make("b", {}, each.label), " · ", make("span", {}, words), each.sentence ? `: ${each.sentence}` : " …"),
      each.request_ids.length ? make("button", { type: "button", class: "quiet", "aria-label": `Show the call of ${each.label}`, onclick: () => { choose(callWith(each.request_ids.slice(-1))?.id); byId("follow").checked = false; byId("calls-title").scrollIntoView({ block: "start" }); } }, "Show the call") : null);
  });
  followPress();
}

const callWith = (requestIds) => newestFirst().find((call) => call.request_ids.some((id) => requestIds.includes(id)));

// Whoever presses a button wants to see its call, once that is in the logs.
function followPress() {
  if (state.wanted === null) return;
  const mine = (state.sections.presses ?? []).find((each) => each.number === state.wanted);
  const call = mine && mine.request_ids.length ? callWith(mine.request_ids.slice(-1)) : undefined;
  if (call !== undefined) { state.wanted = null; state.own = call; choose(call.id); }
}

// --- the state -----------------------------------------------------------------------------------

const FAULTS = {
  issuer: ["Issuer", { well: ["answers", "", ""], broken: ["broken: 503", "bad", ""], slow: ["slow: 5 s", "warn", ""] }],
  api: ["API", { well: ["not throttled", "", ""], throttled: ["throttled: 1 a second", "warn", ""] }],
  store: ["Store", { well: ["can be written", "", ""], broken: ["broken", "bad", ""] }],
};

function showTiles() {
  const { faults, keys, sync } = state.sections;
  const tiles = [];
  for (const [name, value] of Object.entries(faults ?? {})) {
    const [title, words] = FAULTS[name];
    const [text, kind] = words[value];
    tiles.push({ name, value, title, text, kind, small: "" });
  }
  if (keys) {
    const held = keys.held_since === null ? null : Math.max(0, serverNow() - keys.held_since);
    tiles.push({ name: "keys", value: "", title: "Key set", text: held === null ? "not fetched yet" : `${age(held)} old`, kind: held === null ? "idle" : "", small: `${keys.published.length} published` });
  }
  if (sync) {
    const last = sync.runs[0];
    const kind = last === undefined ? "idle" : last.status === "failed" ? "bad" : last.status === "held" ? "warn" : "";
    const records = sync.records === null ? "" : `${sync.records.toLocaleString("en")} records`;
    tiles.push({ name: "sync", value: last?.status ?? "", title: "Last sync", text: last === undefined ? "none yet" : last.status, kind, small: last?.error_code ?? records });
  }
  keep(byId("tiles"), tiles, (tile) => tile.name, (tile) =>
    make("li", { class: `tile ${tile.kind}`, "data-tile": tile.name, "data-value": tile.value }, make("b", {}, tile.title), make("span", {}, tile.text), tile.small ? make("small", {}, tile.small) : null));
}

const times = (count) => ({ 0: "never", 1: "once" })[count] ?? `${count} times`;

function showKeys() {
  const keys = state.sections.keys;
  const held = keys.held_since === null ? "nothing yet" : `for ${age(Math.max(0, serverNow() - keys.held_since))}`;
  facts(byId("key-facts"), [
    ["Held by the authorizer", held],
    ["The issuer was asked", `for keys ${times(keys.asked.key_set)}, for discovery ${times(keys.asked.discovery)}`],
    ["It answered 503", times(keys.asked.unavailable)],
  ]);
  keep(byId("keys"), keys.published, (key) => key.id, (key) =>
    make("li", { class: key.signs ? "signs" : "" }, key.id, key.signs ? " signs" : ""));
  byId("no-fetches").hidden = keys.fetches.length > 0;
  keep(byId("fetches"), keys.fetches, (fetch) => fetch.at, (fetch) =>
    make("li", {}, make("span", { class: `badge ${fetch.result === "ok" ? "ok" : "warn"}` }, fetch.result), ` ${clockTime(fetch.at)}, in ${took((fetch.seconds ?? 0) * 1000)}`));
}

function facts(list, pairs) {
  const text = JSON.stringify(pairs);
  if (list.dataset.content === text) return;
  list.dataset.content = text;
  list.replaceChildren(...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

const OUTCOMES = { allowed: "ok", rejected: "bad", denied: "bad", undecided: "warn" };

function showDecisions(decisions) {
  byId("no-decisions").hidden = decisions.length > 0;
  keep(byId("decisions"), decisions, (each) => each.id, (each) =>
    make("li", { class: "decision" },
      make("span", { class: `badge ${OUTCOMES[each.outcome] ?? ""}` }, each.outcome),
      make("div", {}, make("span", { class: "reason" }, each.reason), make("small", {}, ` ${clockTime(each.at)}${each.caller ? ` · ${each.caller}` : ""}`)),
      each.what_to_change ? make("p", {}, each.what_to_change) : null,
      each.detail ? make("p", {}, make("code", {}, each.detail)) : null));
}

const RUN_TONES = { complete: "ok", paused: "ok", superseded: "", held: "warn", failed: "bad" };

function showSync(sync) {
  const checkpoint = sync.checkpoint;
  facts(byId("checkpoint"), [
    ["Checkpoint", checkpoint === null ? "none yet" : checkpoint.problem ?? checkpoint.cursor ?? "at the beginning"],
    ["Records in the store", sync.records === null ? "not counted" : sync.records.toLocaleString("en")],
    ["The store", !sync.store_answers ? "does not answer" : state.sections.faults?.store === "broken" ? "can be read, and not written" : "can be read and written"],
  ]);
  byId("no-runs").hidden = sync.runs.length > 0;
  byId("runs-table").hidden = sync.runs.length === 0;
  keep(byId("runs"), sync.runs, (run) => run.run_id, (run) =>
    make("tr", {},
      make("td", {}, clockTime(Date.parse(run.finished_at) / 1000)),
      make("td", {}, make("span", { class: `badge ${RUN_TONES[run.status] ?? ""}` }, run.status), run.error_code ? make("div", {}, make("code", { class: "whole" }, run.error_code)) : null, run.report === "lost" ? make("div", {}, "the store could not keep its report") : null, run.shard === null ? null : make("div", {}, `shard ${run.shard}`)),
      make("td", { class: "num" }, run.records_read.toLocaleString("en")),
      make("td", { class: "num" }, run.records_changed.toLocaleString("en"))));
}

// --- live calls ----------------------------------------------------------------------------------

function showCalls(calls) {
  byId("no-calls").hidden = calls.length > 0;
  byId("calls-body").hidden = calls.length === 0;
  const known = new Set([...byId("calls").children].map((child) => child.dataset.key));
  keep(byId("calls"), calls, (call) => call.id, (call) => {
    const why = !wentWell(call) && reasonOf(call) ? reasonOf(call) : isRun(call) ? endOfRun(call).status ?? "" : call.is_cached ? "decision cached" : "";
    const item = make("li", { class: known.size && !known.has(call.id) ? "new" : "", "data-status": call.status ?? "", "data-reason": call.reason ?? "" },
      make("button", { type: "button", onclick: () => { byId("follow").checked = false; choose(call.id); } },
        make("span", { class: `badge ${toneOf(call)}` }, isRun(call) ? "sync" : call.status ?? "…"),
        make("span", { class: "what" }, titleOf(call)),
        make("span", { class: "took" }, took(lengthOf(call))),
        make("span", { class: "why" }, make("span", {}, clockTime(call.began)), why ? make("span", {}, why) : null)));
    return item;
  });
  const wished = location.hash.slice(1);
  if (state.chosen === null && wished) chooseWished(wished, calls);
  else if (byId("follow").checked && state.wanted === null && calls.length && !isOwnShown(calls[0])) choose(calls[0].id);
  else if (state.calls.has(state.chosen)) showCall(state.calls.get(state.chosen));
  else if (calls.length) choose(calls[0].id);
  markChosen();
  followPress();
}

// A link leads to a call: by its trace ID, or as #refused, #allowed or #cached to the newest such.
function chooseWished(wished, calls) {
  const kinds = {
    refused: (call) => call.status >= 400,
    allowed: (call) => call.status < 400 && call.is_cached === false,
    cached: (call) => call.is_cached === true,
  };
  const call = calls.find(kinds[wished] ?? ((each) => each.id === wished));
  if (call !== undefined) { byId("follow").checked = false; choose(call.id); }
  else if (calls.length) choose(calls[0].id);
}

// The call of one's own press stays until another one comes well after it.
const isOwnShown = (newest) => state.own !== null && state.calls.has(state.own.id) && newest.began < state.own.began + OWN_SECONDS;

function choose(id) {
  if (id === undefined || !state.calls.has(id)) return;
  state.chosen = id;
  markChosen();
  showCall(state.calls.get(id));
}

function markChosen() {
  for (const item of byId("calls").children) {
    const button = item.firstElementChild;
    if (item.dataset.key === state.chosen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

const isRun = (call) => call.steps.some((step) => step.event.startsWith("sync_"));
const endOfRun = (call) => call.steps.find((step) => step.event === "sync_finished")?.fields ?? {};
const titleOf = (call) => isRun(call) ? "Run of the sync" : call.method ? `${call.method} ${call.path}` : "A call that is under way";
const wentWell = (call) => isRun(call) ? !["failed", "held"].includes(endOfRun(call).status) : call.is_well;
const toneOf = (call) => isRun(call) ? RUN_TONES[endOfRun(call).status] ?? "" : tone(call.status);
const reasonOf = (call) => (isRun(call) ? endOfRun(call).error_code : null) ?? call.reason;

const endOf = (step) => step.at + (step.milliseconds ?? 0) / 1000;
function lengthOf(call) {
  const outer = call.steps.find((step) => step.event === "proxy_call") ?? call.steps.find((step) => step.actor === "gateway");
  if (isRun(call) && call.steps.length > 1) return Math.max(...call.steps.map(endOf)) * 1000 - call.began * 1000;
  return outer?.milliseconds ?? null;
}

let shownCall = "";
function showCall(call) {
  const picture = byId("picture");
  const width = Math.max(280, Math.floor(picture.clientWidth || 640));
  const content = JSON.stringify([call, width]);
  if (content === shownCall) return;
  shownCall = content;
  const messages = messagesOf(call);
  byId("call-title").textContent = titleOf(call);
  byId("call-summary").textContent = summaryOf(call);
  const advice = byId("call-advice");
  const isRefused = !wentWell(call) && (reasonOf(call) || call.what_to_change);
  advice.hidden = !isRefused;
  advice.className = `advice ${toneOf(call)}`;
  if (isRefused) advice.replaceChildren(make("b", {}, `${call.status >= 500 || isRun(call) ? "Failed" : "Refused"}: ${reasonOf(call) ?? "no reason logged"}`), call.what_to_change ? `What to change: ${call.what_to_change}` : "");
  picture.replaceChildren(drawSequence(messages, width, summaryOf(call)));
  byId("steps").replaceChildren(...messages.map((message, index) =>
    make("tr", {}, make("td", {}, index + 1), make("td", {}, NAMES[message.from]), make("td", {}, NAMES[message.to]), make("td", {}, message.words ?? message.label), make("td", { class: "num" }, took(message.milliseconds)))));
  byId("raw").replaceChildren(...call.steps.map((step) =>
    make("dl", {}, make("dt", {}, NAMES[step.actor]), make("dd", {}, `${step.event} ${clockTime(step.at)} ${took(step.milliseconds)}`),
      ...Object.entries(step.fields).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]))));
}

const NAMES = { caller: "Caller", function_app: "Function App", gateway: "API Gateway", authorizer: "Authorizer", backend: "Backend" };
const SHORT_NAMES = { caller: "Caller", function_app: "Function", gateway: "Gateway", authorizer: "Authorizer", backend: "Backend" };
function summaryOf(call) {
  const decided = call.is_cached === true ? "The gateway had the decision in its cache; the authorizer was not asked."
    : call.is_cached === false ? "The authorizer was asked." : "";
  const length = lengthOf(call);
  const answered = isRun(call) ? "A run of the sync" : `Answered with ${call.status ?? "nothing yet"}`;
  return `${answered}${length === null ? "" : ` in ${took(length)}`}, at ${clockTime(call.began)}. ${decided}`.trim();
}

// The logs tell what each actor did and how long it took; from that follows who called whom.
function messagesOf(call) {
  const of = (actor, event) => call.steps.filter((step) => step.actor === actor && (event === null || step.event === event));
  const messages = [];
  const say = (from, to, label, more = {}) => messages.push({ from, to, label, milliseconds: null, kind: "call", tone: "", ...more });
  const note = (at, label, words) => say(at, at, label, { kind: "note", words });
  const request = titleOf(call);
  const app = of("function_app", "proxy_call")[0];
  const isOfApp = app !== undefined || isRun(call);
  const parent = isOfApp ? "function_app" : "caller";
  const gateways = of("gateway", null);
  const taken = new Set();
  const during = (steps, gateway) => {
    const one = (step) => !taken.has(step) && (step.fields.request_id === gateway.fields.request_id
      || (step.at >= gateway.at - 0.005 && step.at <= endOf(gateway) + 0.005));
    const found = gateways.length === 1 ? steps.find((step) => !taken.has(step)) : steps.find(one);
    if (found !== undefined) taken.add(found);
    return found;
  };
  if (app !== undefined) say("caller", "function_app", request, { short: call.method, words: `${request}, without a token` });
  if (isRun(call)) note("function_app", "the sync runs", "The timer, or a button, starts a run");
  gateways.forEach((gateway, index) => {
    const status = statusOf(gateway);
    const method = gateway.fields.method ?? call.method;
    const path = gateway.fields.route ?? call.path;
    if (isOfApp) say(parent, "gateway", "with its token", { short: "token", words: `${method} ${path}, with the Function App’s own token` });
    else say(parent, "gateway", `${method} ${path}`, { short: method, words: `${method} ${path}` });
    const asked = during(of("authorizer", "decision"), gateway);
    const reused = asked === undefined ? during(of("authorizer", "decision_reused"), gateway) : undefined;
    const reached = during(of("backend", "request"), gateway);
    if (asked !== undefined) {
      say("gateway", "authorizer", "good token?", { short: "token?", words: "Asks whether the token is good" });
      if (during(of("authorizer", "key_set_fetch"), gateway)) note("authorizer", "fetches keys", "Fetches the issuer’s key set first");
      const { outcome, reason } = asked.fields;
      const kind = { allowed: "ok", undecided: "warn" }[outcome] ?? "bad";
      say("authorizer", "gateway", reason ?? outcome ?? "decided", { kind: "return", tone: kind, milliseconds: asked.milliseconds, short: outcome, words: outcome === "allowed" ? "Allowed" : `${sentenceCase(outcome ?? "refused")}: ${reason}` });
    } else if (reused !== undefined) {
      const { outcome, reason } = reused.fields;
      note("gateway", "cache hit", `The gateway still has the decision${outcome ? ` (${reason ?? outcome})` : ""} for this token: the authorizer is not asked`);
    }
    if (reached !== undefined) {
      const code = statusOf(reached) ?? status;
      say("gateway", "backend", "passes it on", { short: "on", words: "Passed on, with who the caller is" });
      say("backend", "gateway", code ?? "answer", { kind: "return", tone: tone(code), milliseconds: reached.milliseconds, words: `Answered with ${code ?? "an answer"}` });
    }
    const error = (gateway.fields.gateway_error ?? "").toLowerCase();
    say("gateway", parent, error ? `${status} ${error}` : status ?? "answer", { kind: "return", tone: tone(status), milliseconds: gateway.milliseconds, short: String(status ?? ""), words: `Answered with ${status ?? "an answer"}${error ? ` (the gateway itself: ${error})` : ""}` });
    if (isOfApp && index < gateways.length - 1 && status >= 400) note("function_app", "waits, retries", "Waits, and tries again");
  });
  if (app !== undefined) say("function_app", "caller", call.status ?? "answer", { kind: "return", tone: tone(call.status), milliseconds: app.milliseconds, words: `Answered with ${call.status ?? "an answer"}` });
  const ended = of("function_app", "sync_finished")[0];
  if (ended !== undefined) note("function_app", ended.fields.status ?? "ended", `The run ended: ${[ended.fields.status, ended.fields.error_code].filter(Boolean).join(", ")}. ${ended.fields.records_read ?? 0} records read, ${ended.fields.records_changed ?? 0} changed`);
  if (call.steps_left_out > 0) note(parent, "and more", `${call.steps_left_out} more steps are in the logs`);
  return messages;
}

function statusOf(step) {
  const status = Number.parseInt(step.fields.status, 10);
  return Number.isNaN(status) ? null : status;
}

const sentenceCase = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

const LANES = ["caller", "function_app", "gateway", "authorizer", "backend"];

function drawSequence(messages, width, summary) {
  const isNarrow = width < 560;
  const names = isNarrow ? SHORT_NAMES : NAMES;
  const margin = isNarrow ? 4 : 8;
  const step = (width - 2 * margin) / LANES.length;
  const x = Object.fromEntries(LANES.map((lane, index) => [lane, margin + step * (index + 0.5)]));
  const top = 66;
  const row = isNarrow ? 34 : 42;
  const height = top + row * messages.length + 22;
  const used = new Set(messages.flatMap((message) => [message.from, message.to]));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Sequence picture. ${summary} The table below says the same.` });

  const cloud = (name, first, last, title) => {
    const left = x[first] - step / 2 + 3;
    svg.append(draw("rect", { class: `cloud ${name}`, x: left, y: 2, width: x[last] + step / 2 - 3 - left, height: height - 4 }));
    svg.append(draw("text", { class: `cloud-name ${name}`, x: left + 10, y: 17 }, title));
  };
  cloud("azure", "function_app", "function_app", "AZURE");
  cloud("aws", "gateway", "backend", "AWS");

  for (const lane of LANES) {
    const off = used.has(lane) ? "" : " off";
    svg.append(draw("line", { class: `lane${off}`, x1: x[lane], y1: 50, x2: x[lane], y2: height - 12 }));
    const wide = Math.min(step - 8, 112);
    svg.append(draw("rect", { class: `head${off}`, x: x[lane] - wide / 2, y: 25, width: wide, height: 25, rx: 7 }));
    svg.append(draw("text", { class: `lane-name${off}${isNarrow ? " small" : ""}`, x: x[lane], y: 42 }, names[lane]));
  }
  drawActivity(svg, messages, x, top, row);
  messages.forEach((message, index) => drawMessage(svg, message, index, { x, y: top + row * (index + 0.55), step, isNarrow }));
  return svg;
}

// A bar on a lane while the actor is at work: from the message that it got to the one that it sent.
function drawActivity(svg, messages, x, top, row) {
  const begun = new Map();
  messages.forEach((message, index) => {
    const y = top + row * (index + 0.55);
    if (message.kind === "call") begun.set(message.to, y);
    if (message.kind === "return" && begun.has(message.from)) {
      const from = begun.get(message.from);
      begun.delete(message.from);
      svg.append(draw("rect", { class: "active", x: x[message.from] - 5, y: from - 4, width: 10, height: y - from + 8, rx: 3 }));
    }
  });
}

const cloudOf = (lane) => lane === "caller" ? "plain" : lane === "function_app" ? "azure" : "aws";

function drawMessage(svg, message, index, { x, y, step, isNarrow }) {
  const from = x[message.from];
  const to = x[message.to];
  if (message.kind === "note") {
    const wide = Math.min(isNarrow ? step - 6 : 132, isNarrow ? 58 : 132);
    svg.append(draw("rect", { class: "note", x: from - wide / 2, y: y - 13, width: wide, height: 24, rx: 12 }));
    svg.append(draw("text", { class: "label", x: from + (isNarrow ? 0 : 8), y: y + 3 }, isNarrow ? "" : message.label));
    number(svg, index, message, isNarrow ? from : from - wide / 2 + 13, y);
    return;
  }
  const direction = Math.sign(to - from);
  const start = from + direction * 6;
  const end = to - direction * 7;
  svg.append(draw("line", { class: `arrow ${message.kind} ${message.tone}`, x1: start, y1: y, x2: end - direction * 5, y2: y }));
  svg.append(draw("polygon", { class: `tip ${message.tone}`, points: `${end},${y} ${end - direction * 9},${y - 4.5} ${end - direction * 9},${y + 4.5}` }));
  number(svg, index, message, start + direction * 12, y);
  const far = Math.abs(to - from);
  const room = far - (isNarrow ? 30 : 44);
  const middle = (start + direction * 20 + end) / 2;
  const most = Math.floor(room / 6.4);
  const text = String(message.label);
  if (!isNarrow || (message.short ?? text).length <= most) {
    const label = text.length <= most ? text : message.short ?? `${text.slice(0, Math.max(1, most - 1))}…`;
    // Over several lanes the label stands on the cloud that it ends in.
    const halo = cloudOf(direction > 0 ? message.to : message.from);
    svg.append(draw("text", { class: `label halo ${halo} ${message.tone}`, x: middle, y: y - 6 }, label));
  }
  if (message.milliseconds !== null && !isNarrow) {
    const halo = cloudOf(message.from);
    svg.append(draw("text", { class: `took-label halo ${halo}`, x: from + 10, y: y + 14 }, took(message.milliseconds)));
  }
}

function number(svg, index, message, x, y) {
  svg.append(draw("circle", { class: `step-dot ${message.tone}`, cx: x, cy: y, r: 8 }));
  svg.append(draw("text", { class: "step-number", x, y: y + 3.7 }, index + 1));
}

// --- the theme -----------------------------------------------------------------------------------

const THEMES = ["system", "light", "dark"];
const remembered = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
let theme = THEMES.includes(remembered) ? remembered : "system";

function showTheme() {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try { localStorage.setItem("theme", theme); } catch { /* it lasts until the page is closed */ }
  showTheme();
});

// --- begin ---------------------------------------------------------------------------------------

byId("theme").hidden = false;
showTheme();
byId("follow").addEventListener("change", () => { if (byId("follow").checked) showCalls(newestFirst()); });
new ResizeObserver(() => { if (state.calls.has(state.chosen)) showCall(state.calls.get(state.chosen)); }).observe(byId("picture"));
addEventListener("hashchange", () => { state.chosen = null; showCalls(newestFirst()); });
setInterval(() => { if (state.sections.keys && source?.readyState === EventSource.OPEN) { showTiles(); showKeys(); } }, 1000);
connect();
