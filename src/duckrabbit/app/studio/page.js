/* What Gradio's components do not do: the address, picture fields, flip books, copying, deleting. */
window.duckrabbit = (() => {
  const pads = {};
  const find = (id) => document.querySelector(`#${id} textarea, #${id} input`);

  /* The settings in the page's address. */
  function address(kind, names, values) {
    if (!document.documentElement.dataset.ready) return; // the page is not yet filled from it
    const kept = new URLSearchParams(location.search);
    const query = new URLSearchParams({ make: kind });
    for (const key of kept.keys()) if (key.startsWith("__")) query.set(key, kept.get(key));
    names.forEach((name, k) => {
      const value = values[k];
      if (value !== "" && value !== null && value !== undefined) query.append(name, value);
    });
    history.replaceState(history.state, "", "?" + query);
  }

  function put(id, value) {
    const box = find(id);
    if (!box || box.value === value) return;
    box.value = value;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  async function send(blob) {
    const answer = await fetch("/pictures", { method: "POST", body: blob });
    const told = await answer.json().catch(() => ({ error: "The studio did not answer; is it still running?" }));
    if (!answer.ok) throw new Error(told.error);
    return told.name;
  }

  /* A picture field: upload, paste, drop, draw; with a mask, paint over what is made anew. */
  class Pad {
    constructor(root) {
      this.root = root;
      this.box = root.dataset.box;
      this.maskBox = root.dataset.mask;
      this.picture = root.querySelector("canvas.picture");
      this.mask = root.querySelector("canvas.mask");
      this.top = this.mask || this.picture;
      this.shown = this.shownMask = "";
      this.drawing = Boolean(this.mask);
      this.cursor = [0.5, 0.5];
      root.classList.toggle("pens", this.drawing);
      this.clear(false);
      this.listen();
    }

    listen() {
      const root = this.root;
      root.querySelector("input[type=file]").addEventListener("change", (e) => {
        if (e.target.files[0]) this.give(e.target.files[0]);
        e.target.value = "";
      });
      root.addEventListener("click", (e) => {
        const sample = e.target.closest(".sample");
        if (sample) return this.choose(sample.dataset.name);
        const action = e.target.closest("[data-do]");
        if (action) this[action.dataset.do]();
      });
      root.addEventListener("dragover", (e) => e.preventDefault());
      root.addEventListener("drop", (e) => {
        e.preventDefault();
        if (e.dataTransfer.files[0]) this.give(e.dataTransfer.files[0]);
      });
      this.top.addEventListener("pointerdown", (e) => this.begin(e));
      this.top.addEventListener("pointermove", (e) => this.go(e));
      for (const end of ["pointerup", "pointercancel"]) this.top.addEventListener(end, () => this.end());
      this.picture.addEventListener("keydown", (e) => this.key(e));
    }

    complain(words) { this.root.querySelector(".complaint").textContent = words; }

    async give(blob) {
      this.complain("");
      try { this.choose(await send(blob)); } catch (error) { this.complain(error.message); }
    }

    choose(name) {
      this.complain("");
      this.wipe();
      this.show(name);
      put(this.box, name);
    }

    show(name) {
      if (name === this.shown) return;
      this.shown = name;
      if (!name) return this.clear(false);
      const image = new Image();
      image.onload = () => {
        for (const canvas of [this.picture, this.mask]) {
          if (!canvas) continue;
          canvas.width = canvas.height = image.naturalWidth;
        }
        const pen = this.picture.getContext("2d");
        pen.imageSmoothingEnabled = false;
        pen.drawImage(image, 0, 0);
        this.root.classList.add("full");
        this.picture.setAttribute("aria-label", "The picture");
        if (this.shownMask) { const m = this.shownMask; this.shownMask = ""; this.showMask(m); }
      };
      image.onerror = () => this.complain("The picture is no longer there; upload it again.");
      image.src = `/shelf/inputs/${name}`;
    }

    showMask(name) {
      if (name === this.shownMask) return;
      this.shownMask = name;
      if (!name) return this.wipe(false);
      const image = new Image();
      image.onload = () => {
        const pen = this.mask.getContext("2d");
        pen.clearRect(0, 0, this.mask.width, this.mask.height);
        pen.drawImage(image, 0, 0, this.mask.width, this.mask.height);
        const pixels = pen.getImageData(0, 0, this.mask.width, this.mask.height);
        for (let k = 0; k < pixels.data.length; k += 4) {
          const white = pixels.data[k] > 127;
          pixels.data.set([232, 62, 92, white ? 255 : 0], k);
        }
        pen.putImageData(pixels, 0, 0);
      };
      image.src = `/shelf/inputs/${name}`;
    }

    wipe(tell = true) {
      if (!this.mask) return;
      this.mask.getContext("2d").clearRect(0, 0, this.mask.width, this.mask.height);
      this.shownMask = "";
      if (tell) put(this.maskBox, "");
    }

    clear(tell = true) {
      if (this.mask && tell && this.shownMask) return this.wipe();
      this.wipe(tell);
      this.picture.width = this.picture.height = 512;
      const pen = this.picture.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, 512, 512);
      this.root.classList.remove("full");
      this.shown = "";
      if (tell) put(this.box, "");
    }

    draw() {
      this.drawing = !this.drawing;
      this.root.querySelector("[data-do=draw]").setAttribute("aria-pressed", this.drawing);
      this.root.classList.toggle("pens", this.drawing);
      this.root.classList.toggle("full", this.drawing || this.shown !== "");
    }

    async paste() {
      try {
        for (const item of await navigator.clipboard.read()) {
          const kind = item.types.find((t) => t.startsWith("image/"));
          if (kind) return this.give(await item.getType(kind));
        }
        this.complain("There is no picture to paste; copy one first.");
      } catch { this.complain("The browser does not allow pasting here; press Ctrl+V, or upload the picture."); }
    }

    at(e) {
      const frame = this.top.getBoundingClientRect();
      return [(e.clientX - frame.left) / frame.width, (e.clientY - frame.top) / frame.height];
    }

    begin(e) {
      if (!this.drawing || (this.mask && !this.root.classList.contains("full"))) return;
      this.top.setPointerCapture(e.pointerId);
      this.last = this.at(e);
      this.stroke(this.last);
    }

    go(e) { if (this.last) this.stroke(this.at(e)); }

    end() { if (this.last) { this.last = null; this.keep(); } }

    stroke(to) {
      const size = this.top.width;
      const pen = this.top.getContext("2d");
      pen.lineCap = pen.lineJoin = "round";
      pen.lineWidth = (this.root.querySelector(".size").value / 100) * size;
      pen.strokeStyle = this.mask ? "rgb(232,62,92)" : this.root.querySelector(".colour").value;
      const from = this.last || to;
      pen.beginPath();
      pen.moveTo(from[0] * size, from[1] * size);
      pen.lineTo(to[0] * size + 0.01, to[1] * size);
      pen.stroke();
      if (this.last) this.last = to;
      if (!this.mask) this.root.classList.add("full");
    }

    /* Arrow keys move, space paints: for those without a pointer. */
    key(e) {
      const step = { ArrowLeft: [-0.04, 0], ArrowRight: [0.04, 0], ArrowUp: [0, -0.04], ArrowDown: [0, 0.04] }[e.key];
      if (!this.drawing || !(step || e.key === " ")) return;
      e.preventDefault();
      if (step) this.cursor = this.cursor.map((v, k) => Math.min(1, Math.max(0, v + step[k])));
      else { this.stroke(this.cursor); this.keep(); }
    }

    /* What was painted goes to the studio, and its name into the form. */
    async keep() {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = this.top.width;
      const pen = canvas.getContext("2d");
      pen.drawImage(this.top, 0, 0);
      if (this.mask) {
        const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
        for (let k = 0; k < pixels.data.length; k += 4) {
          const v = pixels.data[k + 3] > 127 ? 255 : 0;
          pixels.data.set([v, v, v, 255], k);
        }
        pen.putImageData(pixels, 0, 0);
      }
      const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
      try {
        const name = await send(blob);
        if (this.mask) { this.shownMask = name; put(this.maskBox, name); } else { this.shown = name; put(this.box, name); }
      } catch (error) { this.complain(error.message); }
    }
  }

  function pad(element) {
    const root = element.querySelector(".pad");
    if (!root || root.dataset.ready) return;
    root.dataset.ready = "yes";
    const made = new Pad(root);
    pads[made.box] = (name) => made.show(name);
    if (made.maskBox) pads[made.maskBox] = (name) => made.showMask(name);
    let looks = 20; // the boxes may be drawn, and filled, a moment later
    const look = setInterval(() => {
      for (const id of [made.box, made.maskBox]) if (id && find(id)?.value) pads[id](find(id).value);
      if (--looks === 0 || made.shown) clearInterval(look);
    }, 100);
  }

  function show(id, name) { if (pads[id]) pads[id](name || ""); }

  document.addEventListener("paste", (e) => {
    const file = [...(e.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    const here = [...document.querySelectorAll(".pad")].find((p) => p.offsetParent);
    if (file && here) { e.preventDefault(); send(file).then((name) => { show(here.dataset.box, name); put(here.dataset.box, name); }); }
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

  return { address, pad, show, shelf };
})();
