// What a person sees while their session starts: follow it, then show what they asked for.

import { ask, attempt, byId } from "./gateway.js";

const PHASES = ["queued", "creating", "booting", "checking"];
// A container of the pool is ready at once; one that boots takes its seconds.
const FOLLOW_EVERY_MS = 400;
const FOLLOW_CLOSELY_MS = 100;
const CLOSELY_FOR_MS = 1500;
const REVIVE_AFTER_MS = 3000;
const SERVES = new Set(["ready", "frozen"]);
const COMING = new Set(["starting", "failed"]);

const page = byId("starting");
const words = JSON.parse(page.dataset.words);
const session = page.dataset.session;
let state = page.dataset.state;
let phase = page.dataset.phase;
let startedAt = performance.now() - Number(page.dataset.elapsed) * 1000;
let retryAt = retryTime(Number(page.dataset.retryAfter || "NaN"));
let restingSince = null;

function retryTime(retryAfter) {
  return Number.isFinite(retryAfter) ? performance.now() + retryAfter * 1000 : null;
}

async function follow() {
  if (!document.hidden) await look();
  setTimeout(follow, performance.now() < CLOSELY_FOR_MS ? FOLLOW_CLOSELY_MS : FOLLOW_EVERY_MS);
}

async function look() {
  let view;
  try {
    view = await ask("GET", `/api/sessions/${session}`);
  } catch {
    // A gateway that restarts is back in a moment; the figures go on meanwhile.
    return;
  }
  if (SERVES.has(view.state)) return openSession(view);
  if (view.state !== state) enter(view);
  revive(view);
  phase = view.phase ?? phase;
  show(view);
}

function enter(view) {
  if (view.state === "starting") startedAt = performance.now();
  if (view.state === "failed") retryAt = retryTime(view.retry_after_s ?? NaN);
  state = view.state;
}

/** A start that came to nothing, as while the orchestrator is away, is begun by asking again. */
function revive(view) {
  restingSince = COMING.has(view.state) ? null : (restingSince ?? performance.now());
  if (restingSince !== null && performance.now() - restingSince > REVIVE_AFTER_MS) {
    location.reload();
  }
}

function openSession(view) {
  // Served in place of another page, this one is left by asking for that page again; from the
  // front page it goes on to the workspace, since OpenCode's own front page would know none yet.
  const front = ["/", "/gateway/starting"].includes(location.pathname);
  if (front) location.replace(view.open_path ?? "/");
  else location.reload();
}

function show(view) {
  const failed = state === "failed";
  const said = failed ? (words.problems[view.problem] ?? words.problems[""]) : words.starting;
  setText("headline", said.headline);
  setText("again", said.again);
  setText("to-sessions", said.sessions);
  byId("steps").hidden = !said.steps;
  setText("why", view.why ?? "");
  byId("failed-actions").hidden = !failed;
  const at = Math.max(0, PHASES.indexOf(phase));
  PHASES.forEach((name, index) => {
    const standing = index < at ? "done" : index > at ? "todo" : failed ? "failed" : "current";
    const step = page.querySelector(`li[data-phase=${name}]`);
    step.dataset.standing = standing;
    const told = step.querySelector("[data-part=standing]");
    if (told.textContent !== standing) told.textContent = standing;
  });
}

function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function showFigures() {
  setText("elapsed", state === "failed" ? untilRetry() : `${elapsed()} s so far`);
}

const elapsed = () => Math.floor((performance.now() - startedAt) / 1000);

function untilRetry() {
  if (retryAt === null) return "";
  const left = Math.ceil((retryAt - performance.now()) / 1000);
  // Asking for the page again is what starts the next attempt.
  if (left <= 0 && !document.hidden) location.reload();
  return `Next attempt in ${Math.max(0, left)} s`;
}

byId("again").addEventListener("click", (event) => {
  attempt(event.currentTarget, async () => {
    await ask("POST", `/api/sessions/${session}/start`);
    await look();
  });
});

showFigures();
setInterval(showFigures, 200);
follow();
