// This page's place in the server: what it is told, the photo it gave, and a new place where the old one is gone.

import { startWork } from "./work.js";

export const server = new EventTarget(); // "renewed": the server has the photo again, but no results
export let about = null;
export let photo = null; // {file, name, size: [h, w], look: [y, x], warnings}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(said.error ?? `the server says ${answer.status}`), { gone: answer.status === 404 });
}

export async function begin() {
  about = await (await ask("session", { method: "POST" })).json();
}

const upload = async (file) =>
  (await ask(`session/${about.session}/photo?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file })).json();

let renewal = null; // one at a time, for all that find the session gone

/** A new session, and the photo sent again. */
async function renew() {
  await begin();
  if (!photo) return;
  await upload(photo.file);
  server.dispatchEvent(new Event("renewed"));
}

/** Does something again, once, in a new session where the old one is gone. */
async function persist(act) {
  try {
    return await act();
  } catch (error) {
    if (!error.gone) throw error;
    await (renewal ??= renew().finally(() => { renewal = null; }));
    return act();
  }
}

export async function give(file) {
  if (file.size > about.limits.upload_mb * 1e6) throw new Error(`the file ${file.name} is larger than ${about.limits.upload_mb} MB, the most on this server`);
  photo = { file, ...(await persist(() => upload(file))) };
}

export const address = (path) => `session/${about.session}/${path}`;

export async function picture(path) {
  const answer = await persist(() => ask(address(path)));
  return createImageBitmap(await answer.blob());
}

/** A part of the photo or of its result; plane and shape are [h, w], box is [y0, x0, y1, x1]. */
export const part = (of, plane, box, shape) => picture(`part?of=${of}&plane=${plane}&box=${box}&shape=${shape}`);

/** Work by its name in the server; see startWork. */
export function work(name, data, tell) {
  let current = null;
  let cancelled = false;
  const promise = persist(() => {
    current = startWork(about.work[name], [about.session, ...data], tell);
    if (cancelled) current.cancel();
    return current.promise;
  });
  return { promise, cancel: () => { cancelled = true; current?.cancel(); } };
}

const sayAlive = () => about && persist(() => ask(address("alive"), { method: "POST" })).catch(() => {});
setInterval(sayAlive, 60_000);
addEventListener("pagehide", () => {
  if (about) navigator.sendBeacon(address("end"));
});
addEventListener("pageshow", (event) => event.persisted && sayAlive()); // back from the browser's memory, without a session
