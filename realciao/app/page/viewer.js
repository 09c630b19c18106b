// Two pictures of one plane, one on either side of a divider, to move and to enlarge.
// Only what is looked at is fetched. Positions are pixels of the plane (the result); zoom is CSS pixels a plane pixel.

const FRAME = `
  <canvas></canvas>
  <div class="divider" role="slider" tabindex="0" aria-label="Divider between before and after" aria-valuemin="0" aria-valuemax="100"></div>
  <span class="tag before"></span><span class="tag after"></span><span class="say" hidden></span>
  <div class="zooms"><button type="button" data-zoom="fit">Fit</button><button type="button" data-zoom="1">1:1</button>
  <button type="button" data-zoom="2">2×</button><button type="button" data-zoom="4">4×</button></div>`;
const SETTLED_MS = 180;
const OVERVIEW_PX = 1400;
const MAX_ZOOM = 16;
const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));

export class Viewer {
  /**
   * fetchPart(side, plane, box, shape) gives an ImageBitmap of side "before" or "after", or null where there is none (yet);
   * settled(box, zoom) is called when the view has come to rest.
   */
  constructor(root, { before, after, fetchPart, settled = () => {} }) {
    this.root = document.createElement("div");
    this.root.className = "viewer";
    this.root.innerHTML = FRAME;
    root.append(this.root);
    this.canvas = this.root.querySelector("canvas");
    this.divider = this.root.querySelector(".divider");
    this.root.querySelector(".tag.before").textContent = before;
    this.afterTag = this.root.querySelector(".tag.after");
    this.afterTag.textContent = after;
    this.fetchPart = fetchPart;
    this.settled = settled;
    this.plane = [0, 0];
    this.centre = [0.5, 0.5];
    this.zoom = 1;
    this.split = 0.5;
    this.pieces = { before: [], after: [] };
    this.turn = 0;
    new ResizeObserver(() => this.change()).observe(this.root);
    this.listen();
  }

  /** Another plane; the same part of it stays in view unless `look` says another. */
  show(plane, { look = null, zoom = null } = {}) {
    const before = this.plane;
    this.plane = plane;
    this.turn += 1; // what is still on its way is of the plane before
    if (look) this.centre = [...look];
    this.fits = zoom === "fit";
    if (typeof zoom === "number") this.zoom = zoom;
    for (const side of ["before", "after"]) this.pieces[side] = before[0] && !look ? this.pieces[side].slice(0, 1).map((piece) => stretch(piece, before, plane)) : [];
    this.pieces.after = [];
    this.change();
  }

  /** Puts a picture of a box (y0, x0, y1, x1) on one side. */
  put(side, bitmap, box) {
    const whole = box[0] === 0 && box[1] === 0 && box[2] === this.plane[0] && box[3] === this.plane[1];
    this.pieces[side] = whole ? [{ bitmap, box }] : [...this.pieces[side].slice(0, 1).filter((piece) => piece.whole), { bitmap, box }];
    if (whole) this.pieces[side][0].whole = true;
    this.draw();
  }

  clear(side) {
    this.pieces[side] = [];
    this.change();
  }

  say(words) {
    const place = this.root.querySelector(".say");
    place.hidden = !words;
    place.textContent = words ?? "";
  }

  /** What is in view, in whole pixels of the plane. */
  box() {
    const [height, width] = [this.root.clientHeight / this.zoom, this.root.clientWidth / this.zoom];
    const [y, x] = [this.centre[0] * this.plane[0], this.centre[1] * this.plane[1]];
    const edges = [Math.floor(y - height / 2), Math.floor(x - width / 2), Math.ceil(y + height / 2), Math.ceil(x + width / 2)];
    return edges.map((edge, i) => clamp(edge, 0, this.plane[i % 2]));
  }

  change() {
    const [height, width] = [this.root.clientHeight, this.root.clientWidth];
    if (!height || !this.plane[0]) return;
    const fit = Math.min(height / this.plane[0], width / this.plane[1]);
    if (this.fits) this.zoom = Math.min(fit, MAX_ZOOM);
    this.zoom = clamp(this.zoom, Math.min(fit, 1), MAX_ZOOM);
    for (const [i, side] of [height, width].entries()) {
      const half = side / 2 / this.zoom / this.plane[i]; // of the plane
      this.centre[i] = half >= 0.5 ? 0.5 : clamp(this.centre[i], half, 1 - half);
    }
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      button.setAttribute("aria-pressed", String(button.dataset.zoom === "fit" ? !!this.fits : !this.fits && Number(button.dataset.zoom) === this.zoom));
    }
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), SETTLED_MS);
  }

  async fetch() {
    const turn = ++this.turn;
    const plane = this.plane;
    const box = this.box();
    if (box[2] <= box[0] || box[3] <= box[1]) return;
    const all = [0, 0, ...plane];
    const sharp = Math.min(1, this.zoom * devicePixelRatio);
    const shapeOf = (part, share) => [Math.max(1, Math.round((part[2] - part[0]) * share)), Math.max(1, Math.round((part[3] - part[1]) * share))];
    const overview = Math.min(1, OVERVIEW_PX / Math.max(...plane));
    const get = async (side, part, share) => {
      const bitmap = await this.fetchPart(side, plane, part, shapeOf(part, share)).catch(() => null);
      if (turn === this.turn && bitmap) this.put(side, bitmap, part);
    };
    for (const side of ["before", "after"]) {
      if (!this.pieces[side].some((piece) => piece.whole)) await get(side, all, overview);
      if (turn === this.turn && sharp > overview) await get(side, box, sharp);
    }
    if (turn === this.turn) this.settled(box, this.zoom);
  }

  draw() {
    const [height, width] = [this.root.clientHeight, this.root.clientWidth];
    const ratio = devicePixelRatio;
    const [deviceWidth, deviceHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== deviceWidth) this.canvas.width = deviceWidth;
    if (this.canvas.height !== deviceHeight) this.canvas.height = deviceHeight;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, deviceWidth, deviceHeight);
    const scale = this.zoom * ratio;
    const left = Math.round(deviceWidth / 2 - this.centre[1] * this.plane[1] * scale);
    const top = Math.round(deviceHeight / 2 - this.centre[0] * this.plane[0] * scale);
    const split = Math.round(this.split * deviceWidth);
    const sides = [["before", 0, split], ["after", split, deviceWidth]];
    for (const [side, from, to] of sides) {
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, deviceHeight);
      context.clip();
      const pieces = side === "after" ? [...this.pieces.before, ...this.pieces.after] : this.pieces.before;
      for (const { bitmap, box } of pieces) {
        const [h, w] = [(box[2] - box[0]) * scale, (box[3] - box[1]) * scale];
        context.imageSmoothingEnabled = w / bitmap.width < 2 && Math.abs(w / bitmap.width - 1) > 0.01;
        context.imageSmoothingQuality = "high";
        context.drawImage(bitmap, left + box[1] * scale, top + box[0] * scale, w, h);
      }
      context.restore();
    }
    this.divider.style.left = `${this.split * 100}%`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(this.split * 100)));
  }

  zoomTo(zoom, x = this.root.clientWidth / 2, y = this.root.clientHeight / 2) {
    this.fits = zoom === "fit";
    if (!this.fits) {
      const away = [y - this.root.clientHeight / 2, x - this.root.clientWidth / 2];
      const next = clamp(zoom, 0.01, MAX_ZOOM);
      for (const i of [0, 1]) this.centre[i] += (away[i] / this.zoom - away[i] / next) / this.plane[i];
      this.zoom = next;
    }
    this.change();
  }

  listen() {
    const fingers = new Map();
    let held = null; // "divider" or "plane"
    const place = (event) => {
      const frame = this.root.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    };
    const apart = () => {
      const [a, b] = [...fingers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    this.root.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".zooms") || event.button > 0) return;
      held = event.target === this.divider ? "divider" : "plane";
      fingers.set(event.pointerId, place(event));
      this.root.setPointerCapture(event.pointerId);
      this.root.classList.toggle("dragging", held === "plane");
    });
    this.root.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const [x, y] = place(event);
      const [beforeX, beforeY] = fingers.get(event.pointerId);
      if (fingers.size === 2) {
        const distance = apart();
        fingers.set(event.pointerId, [x, y]);
        const [a, b] = [...fingers.values()];
        this.zoomTo(this.zoom * apart() / Math.max(distance, 1), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        return;
      }
      fingers.set(event.pointerId, [x, y]);
      if (held === "divider") {
        this.split = clamp(x / this.root.clientWidth, 0, 1);
        this.draw();
      } else {
        this.centre[0] -= (y - beforeY) / this.zoom / this.plane[0];
        this.centre[1] -= (x - beforeX) / this.zoom / this.plane[1];
        this.change();
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.root.addEventListener(end, (event) => {
        fingers.delete(event.pointerId);
        this.root.classList.remove("dragging");
      });
    }
    this.root.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = place(event);
      this.zoomTo(this.zoom * Math.exp(-clamp(event.deltaY, -120, 120) / 300), x, y);
    }, { passive: false });
    this.root.addEventListener("click", (event) => {
      const zoom = event.target.dataset?.zoom;
      if (zoom) this.zoomTo(zoom === "fit" ? "fit" : Number(zoom));
    });
    this.divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.split = clamp(this.split + step, 0, 1);
      this.draw();
    });
  }
}

const stretch = (piece, before, plane) => ({ ...piece, box: piece.box.map((edge, i) => (edge * plane[i % 2]) / before[i % 2]) });
