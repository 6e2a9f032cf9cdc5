// Sign in, then go where the person was going.

import { ask, attempt, byId } from "./gateway.js";

const form = byId("login");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { username, password } = form.elements;
  attempt(form.querySelector("button"), async () => {
    try {
      await ask("POST", "/gateway/login", { username: username.value, password: password.value });
    } catch (error) {
      password.value = "";
      password.focus();
      throw error;
    }
    location.assign(form.dataset.next);
  });
});
