/* Picture fields: upload, paste, drop, draw, paint a mask. What they hold is the name the studio gave it. */
const duckrabbitPads = (() => {
  const pads = {};
  const find = (id) => document.querySelector(`#${id} textarea, #${id} input`);

  function put(id, value) {
    const box = find(id);
    if (!box || box.value === value) return;
    box.value = value;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /* Keep a picture at the studio, which tells its name and the size it came in; on: the picture a mask is painted on. */
  async function send(blob, fit = "middle", on = "") {
    const gone = "The studio did not answer; is it still running?";
    const answer = await fetch(`pictures?fit=${fit}&on=${on}`, { method: "POST", body: blob }).catch(() => { throw new Error(gone); });
    const picture = await answer.json().catch(() => ({ error: gone }));
    if (!answer.ok) throw new Error(picture.error);
    return picture;
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
      this.drawing = Boolean(root.dataset.drawing);
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
      root.querySelector(".crop").addEventListener("change", () => { if (this.given) this.give(this.given); });
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
      try {
        const picture = await send(blob, this.root.querySelector(".crop :checked").value);
        this.choose(picture.name);
        this.oblong(picture.width !== picture.height ? blob : null);
      } catch (error) { this.complain(error.message); }
    }

    /* What is not square can be cropped or framed: the choice stays while the picture does. */
    oblong(blob) {
      this.given = blob;
      this.root.classList.toggle("oblong", Boolean(blob));
    }

    choose(name) {
      this.complain("");
      this.oblong(null);
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
        pen.fillStyle = "#ffffff"; // what is transparent lies on white
        pen.fillRect(0, 0, this.picture.width, this.picture.height);
        pen.drawImage(image, 0, 0);
        this.root.classList.add("full");
        this.picture.setAttribute("aria-label", "The picture");
        if (this.shownMask) { const m = this.shownMask; this.shownMask = ""; this.showMask(m); }
      };
      image.onerror = () => this.complain("The picture is no longer there; upload it again.");
      image.src = `shelf/inputs/${name}`;
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
      image.src = `shelf/inputs/${name}`;
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
      this.oblong(null);
      this.picture.width = this.picture.height = 512;
      const pen = this.picture.getContext("2d");
      pen.fillStyle = this.root.dataset.paper;
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
      pen.strokeStyle = this.mask ? "rgb(232,62,92)" : this.root.querySelector(".colour")?.value || this.root.dataset.ink;
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
      if (step) {
        this.cursor = this.cursor.map((v, k) => Math.min(1, Math.max(0, v + step[k])));
        this.cursor.forEach((v, k) => this.root.style.setProperty(k ? "--y" : "--x", `${100 * v}%`));
      } else { this.stroke(this.cursor); this.keep(); }
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
        const { name } = await send(blob, "middle", this.mask ? this.shown : "");
        this.oblong(null);
        if (this.mask) { this.shownMask = name; put(this.maskBox, name); } else { this.shown = name; put(this.box, name); }
      } catch (error) { this.complain(error.message); }
    }
  }

  function pad(element) {
    const root = element.querySelector(".pad");
    if (!root || root.dataset.ready) return;
    root.dataset.ready = "yes";
    const made = new Pad(root);
    root.made = made;
    pads[made.box] = (name) => made.show(name);
    if (made.maskBox) pads[made.maskBox] = (name) => made.showMask(name);
    let looks = 20; // the boxes may be drawn, and filled, a moment later
    const look = setInterval(() => {
      for (const id of [made.box, made.maskBox]) {
        const box = id && find(id);
        if (box) box.tabIndex = -1; // nobody types the name of a picture
        if (box?.value) pads[id](box.value);
      }
      if (--looks === 0) clearInterval(look);
    }, 100);
  }

  function show(id, name) { if (pads[id]) pads[id](name || ""); }

  document.addEventListener("paste", (e) => {
    const file = [...(e.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    const here = [...document.querySelectorAll(".pad")].find((p) => p.offsetParent);
    if (file && here) { e.preventDefault(); here.made.give(file); }
  });

  return { pad, show };
})();
