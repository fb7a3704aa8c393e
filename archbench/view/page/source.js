// @ts-check
/** Where the figures come from: the server, or files beside a page that was exported. */

/** @typedef {Record<string, Float32Array>} Curve column -> its points */

const exported = /** @type {any} */ (globalThis).archbenchData;
/** Whether the page can change while it is open. */
export const live = !exported;

/** @returns {Promise<{scans: string[], reports: Record<string, string>, runs: string, start: string, shelf: string}>} */
export async function loadScans() {
  return live ? ask("api/scans") : exported.scans;
}

/** @param {string} name @returns {Promise<any>} */
export async function loadScan(name) {
  return live ? ask(`api/scan?name=${encodeURIComponent(name)}`) : fromFile(`scan/${name}`);
}

/** @param {string} name @returns {Promise<Map<string, Curve>>} */
export async function loadCurves(name) {
  if (!live) return unpack(decoded(await fromFile(`curves/${name}`)));
  return unpack(await asked(`api/curves?name=${encodeURIComponent(name)}`));
}

/**
 * What runs told on the way.
 * @param {string} name @param {string[]} ids of the runs; all of them where it is empty
 * @returns {Promise<Map<string, Curve>>}
 */
export async function loadTold(name, ids) {
  if (!live) return unpack(decoded(await fromFile(`told/${name}`)));
  return unpack(await asked(`api/told?name=${encodeURIComponent(name)}&ids=${ids.join(",")}`));
}

/** @param {string} name @param {string} id @returns {Promise<any>} */
export async function loadRun(name, id) {
  return live ? ask(`api/run?name=${encodeURIComponent(name)}&id=${encodeURIComponent(id)}`) : fromFile(`run/${id}`);
}

/** The verdict on a scan; empty while it is not known. @param {string} name @returns {Promise<any>} */
export async function loadVerdict(name) {
  return live ? ask(`api/verdict?name=${encodeURIComponent(name)}`) : fromFile(`verdict/${name}`);
}

/**
 * Tells what changes in a scan after a version of it, until the function that comes back is called.
 * @param {string} name
 * @param {string} version
 * @param {(news: any) => void} onNews
 * @param {(connected: boolean) => void} onConnection
 * @returns {() => void}
 */
export function follow(name, version, onNews, onConnection) {
  if (!live) return () => undefined;
  const events = new EventSource(`api/events?name=${encodeURIComponent(name)}&since=${encodeURIComponent(version)}`);
  events.onmessage = (event) => onNews(JSON.parse(event.data));
  events.onopen = () => onConnection(true);
  events.onerror = () => onConnection(false);
  return () => events.close();
}

/** @param {string} text base64 @returns {ArrayBuffer} */
export function decoded(text) {
  const letters = atob(text);
  const content = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index++) content[index] = letters.charCodeAt(index);
  return content.buffer;
}

/**
 * Curves by run: a length, as much JSON, and float32 by column.
 * @param {ArrayBuffer} content
 * @returns {Map<string, Curve>}
 */
export function unpack(content) {
  const length = new DataView(content).getUint32(0, true);
  const { columns, points } = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, length)));
  const curves = new Map();
  let start = 4 + length;
  for (const [id, size] of Object.entries(points)) {
    /** @type {Curve} */
    const curve = {};
    for (const column of columns) {
      curve[column] = new Float32Array(content, start, /** @type {number} */ (size));
      start += 4 * /** @type {number} */ (size);
    }
    curves.set(id, curve);
  }
  return curves;
}

/** @param {string} place */
async function asked(place) {
  const answer = await fetch(place);
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  return answer.arrayBuffer();
}

/** @param {string} place */
async function ask(place) {
  const answer = await fetch(place);
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.problem?.join("; ") ?? `the server says ${answer.status}`);
  return content;
}

/** What a file beside the exported page holds; scripts can be read from a disk, other files cannot. @param {string} key */
function fromFile(key) {
  const place = exported.files[key];
  if (!place) return Promise.reject(new Error(`${key} was not exported`));
  if (key in exported.content) return Promise.resolve(exported.content[key]);
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = place;
    script.onload = () => resolve(exported.content[key]);
    script.onerror = () => reject(new Error(`${place} cannot be read`));
    document.head.append(script);
  });
}
