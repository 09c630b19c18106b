// The second tab: a recipe draws a plan, and every step of it is shown.

import { Panel, argument, sizeText } from "./panel.js";
import { about, address, part, photo, picture, server, work } from "./server.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const HINTS = {
  realesrgan: "Real-ESRGAN's second-order model: blur, resizing, noise and JPEG, twice.",
  bsrgan: "BSRGAN's shuffled model: blurs, resizing, noise, JPEG and a camera's processing in any order.",
  bsrgan_plus: "BSRGAN plus: a larger shuffle, of which parts may be left out.",
  realsr: "RealSR: blur and noise as real photos have them, no JPEG.",
  ciaosr_paper: "As CiaoSR's paper describes it.",
  ciaosr_published: "As CiaoSR's published code does it.",
  bicubic: "Made smaller, and nothing else.",
  mix: "One of the others, drawn for each photo.",
};

class DegradeTab {
  constructor() {
    this.panel = new Panel($("degrade-form"));
    this.viewer = new Viewer($("degrade-view"), {
      before: "Photo",
      after: "Degraded",
      fetchPart: (side, plane, box, shape) => side === "before" ? part("photo", plane, box, shape) : Promise.resolve(null),
    });
    for (const recipe of about.recipes) $("recipe").add(new Option(recipe, recipe, recipe === "realesrgan", recipe === "realesrgan"));
    this.hint();
    this.listen();
    server.addEventListener("renewed", () => this.forget());
  }

  open() {
    this.panel.showPhoto();
    this.forget();
    this.viewer.show(photo.size, { look: photo.look, zoom: "fit" });
  }

  hint() {
    $("recipe-hint").textContent = HINTS[$("recipe").value] ?? "";
  }

  forget() {
    this.panel.find(".downloads").hidden = $("replay").hidden = true;
  }

  async degrade() {
    if (this.panel.running) return;
    this.forget();
    const ask = [$("recipe").value, Number($("shrink").value), Number($("seed").value)];
    const done = await this.panel.follow((tell) => work("degrade", ask, tell));
    if (!done) return;
    const bitmaps = await Promise.all([`picture/${done.photo}`, ...done.panels.map((panel) => `picture/${panel.picture}`)].map(picture));
    this.viewer.pieces.after = [];
    this.viewer.put("after", bitmaps[0], [0, 0, ...photo.size]);
    this.viewer.afterTag.textContent = `Degraded, ${sizeText(done.lr_size)} px`;
    $("steps").replaceChildren(...done.panels.map((panel, i) => this.card(panel, i, bitmaps[i + 1], i === done.panels.length - 1)));
    $("get-degraded").href = address(`picture/${done.photo}`);
    $("get-plan").href = address(`picture/${done.plan}`);
    this.panel.find(".downloads").hidden = false;
    const code = document.createElement("code");
    code.textContent = `python scripts/degrade.py -i ${argument(photo.name)} -o degraded --replay ${argument(done.plan_name)}`;
    $("replay").replaceChildren(`PSNR ${done.psnr_db.toFixed(1)} dB. The same again from the plan:`, code);
    $("replay").hidden = false;
  }

  card(panel, number, bitmap, last) {
    const card = document.createElement("li");
    card.classList.toggle("last", last);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const image = new Image();
    image.alt = `after step ${number}`;
    image.src = canvas.toDataURL();
    const text = document.createElement("div");
    const element = (name, words) => Object.assign(document.createElement(name), { textContent: words });
    text.append(element("strong", number ? `${number}. ${panel.title}` : "The photo"));
    if (panel.words) text.append(element("span", panel.words));
    text.append(element("small", `${sizeText(panel.size)} px`));
    card.append(image, text);
    return card;
  }

  listen() {
    const on = (id, event, act) => $(id).addEventListener(event, act);
    this.panel.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.degrade();
    });
    on("recipe", "change", () => this.hint());
    on("shrink-range", "input", () => { $("shrink").value = $("shrink-range").value; });
    on("shrink", "input", () => { $("shrink-range").value = $("shrink").value; });
    on("dice", "click", () => {
      $("seed").value = String(Math.floor(Math.random() * 1e6));
      this.degrade();
    });
  }
}

export const makeDegradeTab = () => new DegradeTab();
