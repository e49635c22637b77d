() => {
  /* Where the keyboard is: the element's id, how far down it is, and whether people see that it is there. */
  const e = document.activeElement, box = e.getBoundingClientRect();
  const ring = (n) => n && ((getComputedStyle(n).outlineStyle !== "none" && parseFloat(getComputedStyle(n).outlineWidth) > 0)
    || getComputedStyle(n).boxShadow !== "none");
  const around = [e, e.parentElement, e.closest("label"), e.closest(".wrap")];
  const seen = box.width > 0 && box.height > 0 && getComputedStyle(e).visibility === "visible" && around.some(ring);
  return { id: e.id || e.closest("[id]")?.id, what: e.outerHTML.slice(0, 80), top: box.top + scrollY, seen };
}
