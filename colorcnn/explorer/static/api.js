// Requests to the explorer's server. A refusal becomes an Error with the server's sentence.

const GONE = "The explorer does not answer: start it again in the terminal, then reload this page.";

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(GONE);
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(content.error || GONE);
  return content;
}

export const ask = (path) => answer(path);

export const compute = (path, request) =>
  answer(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });

export const send = (file) =>
  answer(`/api/added?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: file,
  });

export function fromBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  return bytes;
}

// Work that is done for the latest wish alone: while one runs, later wishes replace each other.
export class Latest {
  constructor(work) {
    this.work = work;
    this.running = false;
    this.wish = null;
  }

  async ask(wish) {
    this.wish = wish;
    if (this.running) return;
    this.running = true;
    while (this.wish !== null) {
      const next = this.wish;
      this.wish = null;
      await this.work(next, () => this.wish === null);
    }
    this.running = false;
  }
}
