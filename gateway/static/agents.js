// The list of agents, and the one form that creates or changes one.

import { announce, ask, attempt, byId, confirmed, forgetProblem, fromTemplate } from "./gateway.js";

const MIB = 1024 * 1024;

const form = byId("agent");
const fields = form.elements;
let agents = [];
let editing = null;

// Showing

async function refresh() {
  ({ agents } = await ask("GET", "/api/agents"));
  byId("agents").replaceChildren(...agents.map(card));
  byId("empty").hidden = agents.length > 0;
  byId("add").hidden = agents.length === 0 || !form.hidden;
}

function card(agent) {
  const { element, parts } = fromTemplate("row");
  parts.name.textContent = agent.name;
  parts.provider.textContent = label(agent.provider);
  parts.model.textContent = agent.model ?? "";
  parts.token.textContent = `token ${agent.token_hint}`;
  const [edit, remove] = element.querySelectorAll("[data-action]");
  edit.setAttribute("aria-label", `Edit ${agent.name}`);
  remove.setAttribute("aria-label", `Delete ${agent.name}`);
  edit.addEventListener("click", () => open(agent));
  remove.addEventListener("click", () => removeAgent(agent, remove));
  return element;
}

function label(provider) {
  return [...fields.provider.options].find((option) => option.value === provider)?.text ?? provider;
}

// The form

function open(agent) {
  forgetProblem();
  editing = agent;
  form.reset();
  if (agent) fill(agent);
  byId("agent-title").textContent = agent ? `Change ${agent.name}` : "Create an agent";
  byId("save").textContent = agent ? "Save changes" : "Create agent";
  byId("cancel").hidden = agents.length === 0;
  fields.token.required = !agent;
  fields.token.placeholder = agent ? `Unchanged (${agent.token_hint})` : "";
  suitProvider();
  form.hidden = false;
  byId("add").hidden = true;
  byId("agent-title").focus();
  form.scrollIntoView({ block: "start" });
}

function fill(agent) {
  fields.name.value = agent.name;
  fields.provider.value = agent.provider;
  fields.model.value = agent.model ?? "";
  fields.base_url.value = agent.base_url ?? "";
  if (fields.image) fields.image.value = agent.image ?? "";
  const { memory_bytes: memory, cpus, pids } = agent.limits ?? {};
  fields.memory.value = memory ? Math.round(memory / MIB) : "";
  fields.cpus.value = cpus ?? "";
  fields.pids.value = pids ?? "";
}

function close() {
  forgetProblem();
  form.hidden = true;
  editing = null;
  byId("add").hidden = false;
  byId("add").focus();
}

function suitProvider() {
  const other = fields.provider.value === "openai-compatible";
  byId("base-url-field").hidden = !other;
  fields.base_url.required = other;
  fields.model.required = other;
  fields.model.placeholder = other ? "As the provider names it" : "The provider’s default";
  byId("model-optional").hidden = other;
}

function wish() {
  const other = fields.provider.value === "openai-compatible";
  const asked = {
    name: fields.name.value.trim(),
    provider: fields.provider.value,
    model: fields.model.value.trim() || null,
    base_url: other ? fields.base_url.value.trim() : null,
    limits: limits(),
  };
  if (fields.token.value) asked.token = fields.token.value.trim();
  if (fields.image) asked.image = fields.image.value || null;
  return asked;
}

function limits() {
  const chosen = {};
  if (fields.memory.value) chosen.memory_bytes = Number(fields.memory.value) * MIB;
  if (fields.cpus.value) chosen.cpus = Number(fields.cpus.value);
  if (fields.pids.value) chosen.pids = Number(fields.pids.value);
  return chosen;
}

// Doing

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(byId("save"), async () => {
    const first = agents.length === 0;
    if (editing) await ask("PATCH", `/api/agents/${editing.id}`, wish());
    else await ask("POST", "/api/agents", wish());
    if (first) return location.assign("/gateway/#start");
    announce(editing ? "Saved." : "Created.");
    close();
    return refresh();
  });
});

async function removeAgent(agent, button) {
  const yes = await confirmed(
    `Delete “${agent.name}”?`,
    "Its token is forgotten. Sessions that use it can no longer start.",
  );
  if (!yes) return;
  await attempt(button, async () => {
    await ask("DELETE", `/api/agents/${agent.id}`);
    announce("Deleted.");
    await refresh();
    if (agents.length === 0 || editing?.id === agent.id) open(null);
  });
}

fields.provider.addEventListener("change", suitProvider);
byId("add").addEventListener("click", () => open(null));
byId("cancel").addEventListener("click", close);

suitProvider();
attempt(byId("save"), refresh);
