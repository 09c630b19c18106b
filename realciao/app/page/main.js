// The page: two tabs over one photo, which comes by a drop, a choice, or the clipboard.

import { makeDegradeTab } from "./degrade.js";
import { sentence } from "./panel.js";
import { about, begin, give } from "./server.js";
import { makeUpscaleTab } from "./upscale.js";

const $ = (id) => document.getElementById(id);
const NAMES = ["upscale", "degrade"];
let tabs = null;
let current = "upscale";
let loaded = false;
let opening = false;

function toast(text) {
  const place = $("toast");
  place.textContent = sentence(text);
  place.hidden = !text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { place.hidden = true; }, 9000);
}

function select(name) {
  current = name;
  for (const one of NAMES) {
    $(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    $(one).hidden = !loaded || one !== name;
  }
  $("welcome").hidden = loaded;
}

function cover(text, late = false) {
  $("veil").textContent = text;
  $("veil").hidden = !text;
  $("veil").classList.toggle("late", late);
}

async function open(file) {
  if (!file || !tabs || opening) return;
  if (NAMES.some((name) => tabs[name].panel.running)) {
    toast("wait until this photo is done, or cancel it");
    return;
  }
  toast("");
  opening = true;
  cover(`Opening ${file.name}`, true);
  try {
    await give(file);
    loaded = true;
    select(current);
    for (const name of NAMES) tabs[name].open();
  } catch (error) {
    toast(error.message);
  } finally {
    opening = false;
    cover("");
  }
}

function listen() {
  for (const name of NAMES) $(`tab-${name}`).addEventListener("click", () => select(name));
  const pick = () => $("file").click();
  $("choose").addEventListener("click", pick);
  for (const button of document.querySelectorAll(".replace")) button.addEventListener("click", pick);
  $("file").addEventListener("change", () => {
    open($("file").files[0]);
    $("file").value = "";
  });
  $("sample").addEventListener("click", async () => {
    const answer = await fetch("app/sample.png").catch(() => null);
    if (answer?.ok) open(new File([await answer.blob()], "chelsea.png"));
    else toast("the server does not answer; is it still running?");
  });
  let depth = 0; // of nested elements that a file is over
  const veil = (step) => {
    depth = Math.max(0, depth + step);
    if (!opening) cover(depth ? "Drop it anywhere" : "");
  };
  addEventListener("dragenter", () => veil(1));
  addEventListener("dragleave", () => veil(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil(-Infinity);
    open(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => open([...event.clipboardData.files][0]));
}

listen();
try {
  await begin();
  tabs = { upscale: makeUpscaleTab(), degrade: makeDegradeTab() };
  $("machine").textContent = `${about.weights.join(" – ")} on ${about.device}`;
  $("accepts").textContent = `PNG, JPEG, WebP, TIFF or BMP, up to ${about.limits.input_mp} megapixels. It is removed when you close this page.`;
} catch (error) {
  for (const button of [$("choose"), $("sample")]) button.disabled = true;
  $("accepts").textContent = `${sentence(error.message)} Reload this page to try again.`;
}
