// Runs before the first paint, so that the page never flashes in the other colours. Kept apart: it must not be a module.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("m1cep.theme");
  } catch {
    /* storage may be forbidden */
  }
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  document.documentElement.dataset.theme = kept === "dark" || kept === "light" ? kept : light ? "light" : "dark";
})();
