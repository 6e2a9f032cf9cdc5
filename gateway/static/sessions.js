// The list of sessions: what each is doing, and what may be done with it.

import { announce, ask, attempt, byId, confirmed, copy, fromTemplate, setText } from "./gateway.js";

const STATES = {
  new: ["New", "quiet"],
  starting: ["Starting", "moving"],
  ready: ["Ready", "ready"],
  frozen: ["Frozen", "asleep"],
  stopping: ["Stopping", "moving"],
  stopped: ["Stopped", "quiet"],
  failed: ["Failed", "failed"],
  removing: ["Deleting", "moving"],
};
const MOVING = new Set(["starting", "stopping", "removing"]);
const MOVING_EVERY_MS = 1000;
const SETTLED_EVERY_MS = 5000;

const cards = new Map();
const agentNames = new Map();
let timer;

// Showing

function show(sessions) {
  const list = byId("sessions");
  byId("empty").hidden = sessions.length > 0;
  const present = new Set(sessions.map((session) => session.id));
  for (const [id, card] of cards) if (!present.has(id)) remove(id, card);
  sessions.forEach((session, index) => {
    const card = cards.get(session.id) ?? add(session);
    update(card, session);
    if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index]);
  });
}

function add(session) {
  const card = fromTemplate("session");
  const { element, parts } = card;
  const base = session.base_url ?? location.origin;
  parts.command.textContent = `opencode attach ${base} --password ACCESS_TOKEN`;
  // Heard alone, a button must tell which session it is about.
  parts.title.id = `title-${session.id}`;
  for (const button of element.querySelectorAll("button")) {
    button.setAttribute("aria-describedby", parts.title.id);
  }
  parts.awake_for.setAttribute("aria-describedby", parts.title.id);
  element.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    if (button) ACTIONS[button.dataset.action](card, button);
  });
  cards.set(session.id, card);
  return card;
}

function remove(id, card) {
  card.element.remove();
  cards.delete(id);
}

function update(card, session) {
  const state = standing(session);
  const [label, tone] = STATES[state] ?? [state, "quiet"];
  const { element, parts } = card;
  if (card.session && standing(card.session) !== state) {
    card.underway = null;
    announce(`${name(session)}: ${label}. ${session.why ?? ""}`);
  }
  card.session = session;
  card.told = performance.now();
  setText(parts.title, name(session));
  setText(parts.state, card.underway ?? label);
  parts.state.dataset.tone = card.underway ? "moving" : tone;
  setText(parts.agent, agentNames.get(session.agent_id) ?? "");
  setText(parts.since, session.since ? `${label} ${ago(session.since)}` : "");
  setText(parts.memory, session.memory_bytes ? megabytes(session.memory_bytes) : "");
  showWhy(card);
  const may = allowed(state, session);
  for (const action of ["start", "stop", "delete", "open", "rest"]) {
    element.querySelector(`[data-action=${action}]`).hidden = !may.has(action);
  }
  parts.awake.hidden = !may.has("keep");
}

/** Show why with the time that is left by now, in place of the one that was left when it came. */
function showWhy({ session, parts, told }) {
  const next = session.next;
  const left = next ? Math.max(0, next.in_s - (performance.now() - told) / 1000) : 0;
  const why = session.why ?? "";
  setText(parts.why, next ? why.replace(inWords(next.in_s), inWords(left)) : why);
}

/** The same words as those of the gateway's `in_words`. */
const inWords = (seconds) => (seconds >= 0.5 ? `in ${span(seconds)}` : "in a moment");

function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes >= 48 * 60) return `${Math.round(minutes / (24 * 60))} days`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return rest ? `${hours} h ${rest} min` : `${hours} h`;
}

const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;

/** Its state, or the way out of it that it is on: to the API what is being stopped is stopped. */
const standing = ({ state, phase }) => (["stopping", "removing"].includes(phase) ? phase : state);

const name = (session) => session.title || "Untitled session";

function allowed(state, session) {
  if (state === "removing") return new Set();
  if (state === "stopping") return new Set(["open", "delete"]);
  const serves = state === "ready" || state === "frozen";
  const runs = serves || state === "starting";
  const may = new Set(["open", "delete", runs ? "stop" : "start"]);
  if (runs && session.awake_until) may.add("rest");
  else if (serves && (session.next || session.busy.length)) may.add("keep");
  return may;
}

function ago(since) {
  const seconds = Math.max(0, (Date.now() - Date.parse(since)) / 1000);
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  if (seconds < 60) return "just now";
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3600), "hour");
  return relative.format(-Math.floor(seconds / 86_400), "day");
}

// Doing

const path = (card) => `/api/sessions/${card.session.id}`;

async function activateAndOpen(id) {
  await ask("POST", `/api/sessions/${id}/activate`);
  // Not ready: the front page shows how the start goes and leads on from there.
  const view = await ask("GET", `/api/sessions/${id}`);
  location.assign(view.open_path ?? "/");
}

const ACTIONS = {
  open: (card, button) => attempt(button, () => activateAndOpen(card.session.id)),
  start: (card, button) => change(card, button, "Starting …", "POST", "/start"),
  stop: (card, button) => change(card, button, "Stopping …", "POST", "/stop"),
  keep: (card, button) => keepAwake(card, button, Number(card.parts.awake_for.value)),
  rest: (card, button) => keepAwake(card, button, 0),
  copy: (card, button) => copy(button, card.parts.command),
  delete: async (card, button) => {
    const yes = await confirmed(
      `Delete “${name(card.session)}”?`,
      "Its container, files and conversations are removed. This cannot be undone.",
    );
    if (!yes) return;
    await change(card, button, "Deleting …", "DELETE");
    announce("Deleted.");
    byId("main").focus();
  },
};

/** Ask for a change of a session, which may take seconds; its card says at once what was asked. */
async function change(card, button, underway, method, what = "") {
  card.underway = underway;
  update(card, card.session);
  announce(`${name(card.session)}: ${underway}`);
  await attempt(button, () => ask(method, path(card) + what));
  card.underway = null;
  await refresh();
}

const keepAwake = (card, button, forS) =>
  attempt(button, async () => {
    update(card, await ask("POST", `${path(card)}/keep-awake`, { for_s: forS }));
    announce(`${name(card.session)}: ${card.session.why}`);
    // The button that was pressed has given way to its counterpart.
    card.element.querySelector(`[data-action=${forS ? "rest" : "keep"}]`).focus();
  });

const create = byId("create");
create.addEventListener("submit", (event) => {
  event.preventDefault();
  const { title, agent_id: agent } = create.elements;
  const wish = { agent_id: agent.value };
  if (title.value.trim()) wish.title = title.value.trim();
  attempt(create.querySelector("button"), async () => {
    const session = await ask("POST", "/api/sessions", wish);
    showCreated(session);
    create.reset();
    // It starts while the person copies its token; if it cannot, the list says why.
    await ask("POST", `/api/sessions/${session.id}/start`).finally(refresh);
  });
});

function showCreated(session) {
  const base = session.base_url ?? location.origin;
  byId("created-command").textContent =
    `opencode attach ${base} --password ${session.access_token}`;
  byId("created-token").textContent = session.access_token;
  const open = byId("created-open");
  open.onclick = () => attempt(open, () => activateAndOpen(session.id));
  byId("created").hidden = false;
  byId("created-title").focus();
}

byId("created-done").addEventListener("click", () => {
  byId("created").hidden = true;
  byId("created-command").textContent = "";
  byId("created-token").textContent = "";
  byId("title").focus();
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button, byId(button.dataset.copy)));
}

// Keeping up to date: fast while something moves, slowly else, not at all while nobody looks.

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  let wait = SETTLED_EVERY_MS;
  try {
    const { sessions } = await ask("GET", "/api/sessions");
    show(sessions);
    if (sessions.some(moves)) wait = MOVING_EVERY_MS;
  } finally {
    clearTimeout(timer);
    timer = setTimeout(keepUp, wait);
  }
}

const moves = (session) =>
  MOVING.has(standing(session)) || (session.next && session.next.in_s < SETTLED_EVERY_MS / 1000);

const keepUp = () => refresh().catch(() => undefined);

async function showAgents() {
  const { agents } = await ask("GET", "/api/agents");
  const select = byId("agent");
  for (const agent of agents) {
    agentNames.set(agent.id, agent.name);
    select.add(new Option(agent.name, agent.id));
  }
}

setInterval(() => {
  if (!document.hidden) cards.forEach(showWhy);
}, 1000);
document.addEventListener("visibilitychange", () => document.hidden || keepUp());
attempt(create.querySelector("button"), async () => {
  await showAgents();
  await refresh();
});
if (location.hash === "#start") byId("title").focus();
