/* What Gradio's components do not do: the address, flip books, copying, deleting. */
window.duckrabbit = (() => {
  const root = document.documentElement;

  /* The settings in the page's address. */
  function address(kind, names, values) {
    if (!root.dataset.ready) return; // the page is not yet filled from it
    const kept = new URLSearchParams(location.search);
    const query = new URLSearchParams({ make: kind });
    for (const key of kept.keys()) if (key.startsWith("__")) query.set(key, kept.get(key));
    names.forEach((name, k) => {
      const value = values[k];
      if (value !== null && value !== undefined) query.append(name, value);
    });
    history.replaceState(history.state, "", "?" + query);
  }

  /* The tab that is open: models of digits have a menu of their own. */
  function tab(name) { root.dataset.tab = name; }

  /* The page is filled from its address; `places` says in which tab a kind of form is. */
  function ready(places) {
    tab(places[new URLSearchParams(location.search).get("make") || ""] || places[""]);
    root.dataset.ready = "yes";
  }

  /* A tab of several forms is opened: the address holds the one that is shown. */
  function within(name, forms, values) {
    const open = document.querySelector(`#${name}-kinds [role=tab][aria-selected=true]`)?.textContent.trim();
    let first = 0;
    for (const [kind, label, names] of forms) {
      if (label === open) return address(kind, names, values.slice(first, first + names.length));
      first += names.length;
    }
  }

  /* A list that opens is walked by arrows; Chromium would have Tab stop at it, where it closes. */
  new MutationObserver(() => {
    for (const list of document.querySelectorAll("ul[role=listbox]:not([tabindex]), [id^=live-]:not([tabindex])")) list.tabIndex = -1;
  }).observe(root, { childList: true, subtree: true });

  /* A slider that was moved and let go, by hand or by key, presses the button that nobody sees. */
  document.addEventListener("change", (e) => {
    for (let n = e.target; n; n = n.parentElement) {
      const live = n.id && document.getElementById(`live-${n.id}`);
      if (live) return setTimeout(() => live.click(), 30); // its new value is known by then
    }
  });

  /* A flip book: the slider leafs through it, a click plays it to its other end. */
  function leaf(book, frame) {
    book.querySelector("input").value = frame;
    const last = book.dataset.frames - 1;
    book.querySelector(".leaf").style.backgroundPosition = `${(100 * frame) / last}% 0`;
  }
  function play(book) {
    const last = book.dataset.frames - 1;
    const from = Number(book.querySelector("input").value);
    const to = from < last / 2 ? last : 0;
    const quick = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let frame = from;
    clearInterval(book.timer);
    if (quick) return leaf(book, to);
    book.timer = setInterval(() => {
      frame += Math.sign(to - frame);
      leaf(book, frame);
      if (frame === to) clearInterval(book.timer);
    }, 60);
  }
  document.addEventListener("input", (e) => {
    const book = e.target.closest?.(".flipbook");
    if (book) { clearInterval(book.timer); leaf(book, Number(e.target.value)); }
  });
  document.addEventListener("click", (e) => {
    const run = e.target.closest?.("[id$=-run]");
    if (run && innerWidth < 700) document.getElementById(run.id.replace("-run", "-view"))?.scrollIntoView({ behavior: "smooth" });
    const page = e.target.closest?.(".leaf");
    if (page) play(page.closest(".flipbook"));
    const copy = e.target.closest?.(".copy");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
  });

  /* The shelf: a second click on Delete means it. */
  function shelf(element, remove) {
    element.addEventListener("click", (e) => {
      const gone = e.target.closest(".delete");
      if (!gone) return;
      if (gone.dataset.sure) return remove(gone.dataset.item);
      gone.dataset.sure = "yes";
      gone.textContent = "Delete for good?";
    });
  }

  return { address, ready, shelf, tab, within, ...duckrabbitPads };
})();
