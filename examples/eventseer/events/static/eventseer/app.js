// Pages are the same for everybody. What is different for one visitor is filled in here, from two addresses that are never
// cached: who is logged in, and the token that a form needs.

const json = (url) => fetch(url, { credentials: "same-origin" }).then((response) => response.json());

const account = document.querySelector("[data-me]");
if (account) {
  const login = account.querySelector("a");
  login.href += `?next=${encodeURIComponent(location.pathname + location.search)}`;
  if (document.cookie.split("; ").includes("signed_in=1")) {
    json(account.dataset.me).then(({ name, staff }) => {
      if (!name) return;
      const link = (text, href, className = "") => Object.assign(document.createElement("a"), { textContent: text, href, className });
      account.replaceChildren(link(name, account.dataset.calendar, "button small ghost"));
      if (staff) account.append(link("Admin", account.dataset.admin));
      // The server takes the name from the login.
      document.querySelectorAll("form[data-token] [name=name]").forEach((field) => {
        field.required = false;
        field.closest("div").hidden = true;
      });
    });
  }
}

for (const form of document.querySelectorAll("form[data-token]")) {
  let fetching;
  const token = () => (fetching ??= json(form.dataset.token).then(({ token }) => {
    const field = Object.assign(document.createElement("input"), { type: "hidden", name: "csrfmiddlewaretoken", value: token });
    form.append(field);
  }).catch((error) => { fetching = undefined; throw error; }));
  form.addEventListener("focusin", () => token().catch(() => {}));
  form.addEventListener("submit", (event) => {
    if (form.elements.csrfmiddlewaretoken) return;
    event.preventDefault();
    token().then(() => form.submit(), () => alert("The server can't be reached. Please try again."));
  });
}
