// What both tabs' panels have: the photo's name, progress with a way to cancel, and trouble in words.

import { photo } from "./server.js";
import { Cancelled } from "./work.js";

export const sizeText = ([height, width]) => `${width} × ${height}`;

export function secondsText(seconds) {
  if (seconds < 1) return "a moment";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function bytesText(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

/** A file's name as an argument on a command line. */
export function argument(name) {
  const path = name.startsWith("-") ? `./${name}` : name;
  return /^[\p{L}\p{N}_./+-]+$/u.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

export function progressText({ waiting, progress, left_s: left }) {
  if (waiting) return waiting === 1 ? "Next in the queue" : `${waiting - 1} before you in the queue`;
  if (!progress) return "Starting";
  return left == null ? `${Math.round(100 * progress)} %` : `${Math.round(100 * progress)} %, ${secondsText(left)} left`;
}

export class Panel {
  constructor(form) {
    this.form = form;
    this.find = (selector) => form.querySelector(selector);
    this.running = null;
    this.find(".cancel").addEventListener("click", () => this.running?.cancel());
  }

  showPhoto() {
    this.find(".name").textContent = this.find(".name").title = photo.name;
    this.find(".facts").textContent = `${sizeText(photo.size)} px, ${bytesText(photo.file.size)}`;
    this.trouble("");
  }

  trouble(text) {
    this.find(".trouble").hidden = !text;
    this.find(".trouble").textContent = sentence(text);
  }

  /** Shows the progress of start(tell) -> {promise, cancel}; returns what it makes, or null where it was cancelled or failed. */
  async follow(start) {
    const tell = (state) => {
      this.find(".bar").classList.toggle("unknown", !state.progress);
      this.find(".bar b").style.width = state.progress ? `${100 * state.progress}%` : "";
      this.find(".words").textContent = progressText(state);
    };
    this.trouble("");
    tell({});
    this.busy(true);
    try {
      this.running = start(tell);
      return await this.running.promise;
    } catch (error) {
      if (!(error instanceof Cancelled)) this.trouble(error.message);
      return null;
    } finally {
      this.running = null;
      this.busy(false);
    }
  }

  busy(is) {
    this.find(".progress").hidden = !is;
    this.find(".go").hidden = is;
  }
}
