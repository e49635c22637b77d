() => {
  /* What is seen and used, and has no name to be called by. */
  const kinds = "button, input, textarea, select, img, canvas[role], a[href], summary";
  const named = (e) => e.getAttribute("aria-label") || e.innerText?.trim() || e.labels?.length || e.title || e.alt
    || e.closest("label")?.innerText.trim() || (e.hasAttribute("alt") && e.closest("button[aria-label]"));
  const seen = (e) => e.offsetParent && !e.closest(".tucked");
  return [...document.querySelectorAll(kinds)].filter((e) => seen(e) && !named(e)).map((e) => e.outerHTML.slice(0, 120));
}
