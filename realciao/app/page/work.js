// One piece of work in the server's queue: Gradio's protocol (join, then a stream of events).

export class Cancelled extends Error {}

const newHash = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Starts a piece of work; returns {promise, cancel}. The promise fulfils with what the work returns.
 * tell({waiting: places before this one}) or tell({progress, left_s}) is called on the way.
 */
export function startWork(number, data, tell = () => {}) {
  let stream = null;
  let giveUp = () => {};
  let over = false;
  const promise = new Promise((resolve, reject) => {
    const end = (settle, value) => {
      over = true;
      stream?.close(); // which is how the server learns that nobody listens
      settle(value);
    };
    giveUp = () => over || end(reject, new Cancelled("cancelled"));
    const hear = (message) => {
      const said = message.output?.data?.[0];
      if (message.msg === "estimation") tell({ waiting: message.rank + 1 });
      else if (message.msg === "process_starts") tell({ progress: null, left_s: null });
      else if (message.msg === "unexpected_error") end(reject, new Error("the server stopped"));
      else if (said?.done) end(resolve, said.done);
      else if (said?.error) end(reject, Object.assign(new Error(said.error), { gone: said.gone }));
      else if (said?.stopped) end(reject, new Cancelled("cancelled"));
      else if (message.msg === "process_completed") end(reject, new Error("the server ended without a result"));
      else if (said) tell(said);
    };
    join(number, data).then((hash) => {
      if (over) return;
      stream = new EventSource(`gradio_api/queue/data?session_hash=${hash}`);
      stream.onmessage = (event) => over || hear(JSON.parse(event.data));
      stream.onerror = () => over || end(reject, new Error("the server does not answer; is it still running?"));
    }, (error) => over || end(reject, error));
  });
  return { promise, cancel: () => giveUp() };
}

async function join(number, data) {
  const hash = newHash();
  const body = JSON.stringify({ fn_index: number, data, session_hash: hash, simple_format: true });
  let answer;
  try {
    answer = await fetch("gradio_api/queue/join", { method: "POST", headers: { "content-type": "application/json" }, body });
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  if (answer.status === 503) throw new Error("too many are waiting already; try again in a minute");
  if (!answer.ok) throw new Error("the server refused this request");
  return hash;
}
