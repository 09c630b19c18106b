// The first tab: a size, a look at what becomes of it, and the whole to download.

import { Panel, bytesText, progressText, secondsText, sizeText } from "./panel.js";
import { about, address, part, photo, picture, server, work } from "./server.js";
import { Viewer } from "./viewer.js";
import { Cancelled } from "./work.js";

const PREVIEW_PX = 1_500_000; // beyond, a look costs more than it shows
const LEAST = 1, MOST = 8; // of the slider; the field takes more
const $ = (id) => document.getElementById(id);

/** Python's round: half to even, as the server does. */
function round(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/** The middle of a box, with this share of its sides. */
function shrink([top, left, bottom, right], share) {
  const [y, x, h, w] = [(top + bottom) / 2, (left + right) / 2, ((bottom - top) * share) / 2, ((right - left) * share) / 2];
  return [y - h, x - w, y + h, x + w].map(Math.round);
}

class UpscaleTab {
  constructor() {
    this.panel = new Panel($("upscale-form"));
    this.viewer = new Viewer($("upscale-view"), {
      before: "Bicubic",
      after: "RealCiaoSR",
      fetchPart: (side, plane, box, shape) => side === "before" || this.made ? part(side === "before" ? "photo" : "result", plane, box, shape) : Promise.resolve(null),
      settled: (box, zoom) => this.preview(box, zoom),
    });
    this.made = null;
    this.speed = null; // seconds a pixel
    this.listen();
    server.addEventListener("renewed", () => this.forget());
  }

  sayDenoise() {
    $("denoise-value").textContent = `${Math.round(100 * Number($("denoise").value))} %`;
  }

  /** A new photo. */
  open() {
    this.looking?.cancel();
    this.looking = null;
    this.panel.showPhoto();
    $("denoise-field").hidden = about.dial === null;
    $("denoise").value = about.dial ?? 0;
    this.sayDenoise();
    this.speed = null;
    this.askQuality();
    this.setScale(2);
    this.fillSize();
    this.forget();
    this.viewer.show(this.size(), { look: photo.look, zoom: 1 });
  }

  askQuality() {
    const ending = $("ext").value === "auto" ? photo.name.split(".").pop() : $("ext").value;
    $("quality-field").hidden = !/^(jpe?g|webp)$/i.test(ending);
  }

  by() {
    return this.panel.form.elements.by.value;
  }

  /** Height and width of the result, or null where what is asked for is none. */
  size() {
    const size = this.by() === "scale" ? photo.size.map((n) => Math.max(1, round(n * Number($("scale").value)))) : [Number($("height").value), Number($("width").value)];
    const asked = this.by() === "scale" ? Number($("scale").value) > 0 : true;
    return asked && size.every((n) => Number.isInteger(n) && n > 0) ? size : null;
  }

  wish() {
    const size = this.by() === "scale" ? { scale: Number($("scale").value) } : { size: this.size() };
    return { ...size, denoise: Number($("denoise").value), ext: $("ext").value, quality: Number($("quality").value) };
  }

  setScale(scale) {
    $("scale").value = String(Math.round(scale * 100) / 100);
    $("scale-range").value = String(Math.log(scale / LEAST) / Math.log(MOST / LEAST));
  }

  fillSize() {
    const size = this.size() ?? photo.size;
    [$("height").value, $("width").value] = size.map(String);
  }

  /** What was made is not what is asked for any more. */
  forget() {
    this.made = null;
    this.panel.find(".download").hidden = this.panel.find(".notes").hidden = true;
    this.panel.find(".go").hidden = !!this.panel.running;
    this.hint();
  }

  hint() {
    const size = this.size();
    const place = $("size-hint");
    const pixels = size && size[0] * size[1];
    const wrong = !size ? "Give a number above 0." : pixels > about.limits.output_mp * 1e6 ? `${sizeText(size)} px is more than the ${about.limits.output_mp} megapixels that this server makes.` : "";
    place.classList.toggle("wrong", !!wrong);
    this.panel.find(".go").disabled = !!wrong;
    const parts = wrong ? [] : [`${sizeText(size)} px`, `${(pixels / 1e6).toFixed(pixels < 1e6 ? 2 : 1)} MP`];
    if (!wrong && this.speed) parts.push(`about ${secondsText(this.speed * pixels)}`);
    place.textContent = wrong || parts.join(", ");
    return !wrong;
  }

  /** The size, or the network between the weights, is another. */
  changed() {
    this.looking?.cancel();
    this.forget();
    this.panel.trouble("");
    if (this.hint()) this.viewer.show(this.size());
  }

  async preview(box, zoom) {
    this.looking?.cancel();
    if (this.made || this.panel.running || !this.hint()) return;
    const share = Math.sqrt(PREVIEW_PX / ((box[2] - box[0]) * (box[3] - box[1])));
    if (share < 1 && zoom < 1) {
      this.viewer.say("Zoom in for a preview");
      return;
    }
    if (share < 1) box = shrink(box, share);
    const looking = work("preview", [this.wish(), box], (state) => this.looking === looking && this.viewer.say(`Preview: ${progressText(state).toLowerCase()}`));
    this.looking = looking;
    try {
      const seen = await looking.promise;
      const bitmap = await picture(`picture/${seen.picture}`);
      if (this.looking !== looking) return;
      this.speed = seen.seconds / ((seen.box[2] - seen.box[0]) * (seen.box[3] - seen.box[1]));
      this.viewer.put("after", bitmap, seen.box);
      this.viewer.say("");
      this.hint();
    } catch (error) {
      if (this.looking !== looking) return;
      this.viewer.say("");
      if (!(error instanceof Cancelled)) this.panel.trouble(error.message);
    }
  }

  async upscale() {
    if (!this.hint() || this.panel.running) return;
    clearTimeout(this.waiting); // what was asked for last is what is being made
    this.looking?.cancel();
    this.looking = null;
    this.viewer.say("");
    this.forget();
    const lock = [...this.panel.form.querySelectorAll("input, select, .lock, .replace")];
    for (const element of lock) element.disabled = true;
    const made = await this.panel.follow((tell) => work("upscale", [this.wish()], tell));
    for (const element of lock) element.disabled = false;
    if (made) this.finish(made);
    else this.viewer.change();
  }

  finish(made) {
    this.made = made;
    const link = this.panel.find(".download");
    link.href = address("result");
    link.download = made.name;
    link.textContent = `Download ${made.name.split(".").pop().toUpperCase()}, ${bytesText(made.bytes)}`;
    link.hidden = false;
    const notes = [`${sizeText(made.size)} px in ${secondsText(made.seconds)}.`, ...photo.warnings, ...made.warnings.filter((note) => !photo.warnings.includes(note))];
    this.panel.find(".notes").textContent = notes.join(" ");
    this.panel.find(".notes").hidden = false;
    this.panel.find(".go").hidden = true; // until another one is asked for
    this.viewer.clear("after");
  }

  listen() {
    const on = (id, event, act) => $(id).addEventListener(event, act);
    this.panel.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.upscale();
    });
    const soon = () => {
      this.hint();
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.changed(), 250);
    };
    on("scale-range", "input", () => {
      this.setScale(LEAST * (MOST / LEAST) ** Number($("scale-range").value));
      soon();
    });
    on("scale", "input", () => {
      const scale = Number($("scale").value);
      if (scale > 0) $("scale-range").value = String(Math.log(scale / LEAST) / Math.log(MOST / LEAST));
      soon();
    });
    for (const [own, other, axis] of [["width", "height", 1], ["height", "width", 0]]) {
      on(own, "input", () => {
        const value = Number($(own).value);
        if ($("lock").ariaPressed === "true" && value > 0) $(other).value = String(Math.max(1, round(value / photo.size[axis] * photo.size[1 - axis])));
        soon();
      });
    }
    on("lock", "click", () => { $("lock").ariaPressed = String($("lock").ariaPressed !== "true"); });
    for (const radio of this.panel.form.elements.by) {
      radio.addEventListener("change", () => {
        for (const line of this.panel.form.querySelectorAll("[data-by]")) line.hidden = line.dataset.by !== this.by();
        if (this.by() === "size") {
          const scale = Number($("scale").value) || 1;
          [$("height").value, $("width").value] = photo.size.map((n) => String(Math.max(1, round(n * scale))));
        }
        this.changed();
      });
    }
    on("denoise", "input", () => {
      this.sayDenoise();
      soon();
    });
    for (const [id, event] of [["ext", "change"], ["quality", "input"]]) {
      on(id, event, () => {
        this.askQuality();
        if (this.made) this.forget();
      });
    }
  }
}

export const makeUpscaleTab = () => new UpscaleTab();
