// Browsers drop what they load when the machine's networks change, as they do each time a container starts: try again.
(() => {
  const MOST = 5;
  const NAME = "crewship-reloads";
  window.addEventListener(
    "error",
    (event) => {
      if (!(event.target instanceof HTMLScriptElement || event.target instanceof HTMLLinkElement)) return;
      if (event.target.rel === "modulepreload") return;
      const count = Number(sessionStorage.getItem(NAME)) || 0;
      if (count >= MOST) return;
      sessionStorage.setItem(NAME, String(count + 1));
      setTimeout(() => location.reload(), 300 * (count + 1));
    },
    true,
  );
  window.addEventListener("crewship-started", () => sessionStorage.removeItem(NAME));
})();
