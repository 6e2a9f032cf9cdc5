// What every page needs: asking the API, telling a person, copying, asking to confirm.

const THE_GATEWAY_IS_SILENT =
  "The gateway did not answer. Check your connection, then try again.";

export const byId = (id) => document.getElementById(id);

/** An answer of the API that is not a success; its message is a sentence for the person. */
export class Refused extends Error {
  constructor(status, data) {
    super(data.message ?? `The gateway answered ${status} without a reason.`);
    this.status = status;
    this.data = data;
  }
}

/** Ask the API; give the parsed body, or throw Refused. Being signed out leads to the sign-in. */
export async function ask(method, path, body) {
  const answer = await reach(method, path, body);
  const text = await answer.text();
  const parsed = parse(text);
  if (answer.ok) return parsed;
  if (answer.status === 401 && path !== "/gateway/login") signIn();
  throw new Refused(answer.status, parsed?.data ?? {});
}

async function reach(method, path, body) {
  try {
    return await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, { message: THE_GATEWAY_IS_SILENT });
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function signIn() {
  const here = location.pathname + location.search;
  location.assign(`/gateway/login?next=${encodeURIComponent(here)}`);
}

/** Run an action of the person with its button held, and show why it failed, if it did. */
export async function attempt(button, action) {
  forgetProblem();
  button.disabled = true;
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    byId("problem").textContent = error.message;
    byId("problem").scrollIntoView({ block: "nearest" });
    return undefined;
  } finally {
    button.disabled = false;
  }
}

/** Take back why the last action failed, for whoever goes on to another. */
export function forgetProblem() {
  byId("problem").textContent = "";
}

/** Say something to those who hear the page rather than see it. */
export function announce(text) {
  byId("status").textContent = text;
}

export async function copy(button, element) {
  const copied = (await toClipboard(element.textContent)) || selectAndCopy(element);
  announce(copied ? "Copied." : "Not copied: select the text and copy it yourself.");
  const label = (button.dataset.label ??= button.textContent);
  button.textContent = copied ? "Copied" : "Select it";
  setTimeout(() => (button.textContent = label), 1600);
}

async function toClipboard(text) {
  // Absent on a plain-HTTP page that is not on this machine.
  if (!navigator.clipboard) return false;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function selectAndCopy(element) {
  getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}

/** Ask for a yes in the page's dialog. */
export function confirmed(title, text) {
  forgetProblem();
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** A copy of a page's template, and the elements in it by their data-part. */
export function fromTemplate(id) {
  const element = byId(id).content.firstElementChild.cloneNode(true);
  const parts = {};
  for (const part of element.querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
  return { element, parts };
}

/** Change a text only when it differs, so that a selection in it survives an update. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const signOut = byId("sign-out");
signOut?.addEventListener("click", async () => {
  await ask("POST", "/gateway/logout").catch(() => undefined);
  location.assign("/gateway/login");
});
