// One result: a picture, its palette, its numbers, and the classifier's answer.

import { compute, fromBase64, Latest } from "/api.js";
import { highlightColors, indexColors, luminance, withPalette } from "/png.js";

const WAITS = [
  // milliseconds until a tile says that it computes
  [250, "computing …"],
  [4000, "computing; the first use of a method takes longer …"],
];
const dark = matchMedia("(prefers-color-scheme: dark)");

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const bytes = (hex) => [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
const whole = (number) => number.toLocaleString("en");
const share = (part, all) => `${((100 * part) / all).toFixed(part / all < 0.0995 ? 1 : 0)} %`;

function size(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1e6 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1e6).toFixed(2)} MB`;
}

export class Tile {
  // `method` is null for the original. `large` opens the large view of a tile.
  constructor(title, method, large) {
    this.method = method;
    this.answer = null;
    this.chosen = null;
    this.view = "picture";
    this.urls = {};
    this.latest = new Latest((wish, isLast) => this.work(wish, isLast));
    this.picture = element("img", { alt: "", draggable: "false" });
    this.open = element("button", { type: "button", class: "picture" }, this.picture);
    this.open.addEventListener("click", () => large(this));
    this.note = element("p", { class: "note", role: "alert", hidden: true });
    this.numbers = element("dl", { class: "numbers" });
    this.strip = element("div", { class: "strip" });
    this.caption = element("p", { class: "caption" });
    this.classes = element("div", { class: "classes" });
    this.files = element("p", { class: "files" });
    this.busy = element("span", { class: "busy", role: "status" });
    this.title = title;
    const parts = [element("div", { class: "frame" }, this.open, this.busy), this.note, this.numbers];
    if (method) parts.push(this.strip, this.caption);
    parts.push(this.classes);
    if (method) parts.push(this.files);
    this.box = element("article", { class: "tile" }, element("h2", {}, title), ...parts);
    this.strip.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.choose(null);
    });
  }

  ask(wish) {
    return this.latest.ask(wish);
  }

  async work(wish, isLast) {
    const timers = WAITS.map(([wait, text]) =>
      setTimeout(() => {
        this.busy.textContent = text;
        this.box.setAttribute("aria-busy", "true");
      }, wait),
    );
    try {
      const { view, label, ...request } = wish;
      const path = this.method ? "/api/quantized" : "/api/original";
      if (!this.method) for (const name of ["colors", "dither"]) delete request[name];
      const answer = await compute(path, this.method ? { ...request, method: this.method } : request);
      if (isLast()) this.show(answer, view, label);
    } catch (error) {
      if (isLast()) this.fail(error.message);
    } finally {
      timers.forEach(clearTimeout);
      this.busy.textContent = "";
      this.box.removeAttribute("aria-busy");
    }
  }

  fail(sentence) {
    this.answer = null;
    this.note.textContent = sentence;
    this.note.hidden = false;
    this.open.hidden = true;
    for (const part of [this.numbers, this.strip, this.caption, this.classes, this.files]) part.replaceChildren();
  }

  show(answer, view, label) {
    this.answer = answer;
    this.label = label;
    this.view = view;
    this.png = fromBase64(answer.png);
    this.note.hidden = true;
    this.open.hidden = false;
    if (this.method) {
      this.colors = answer.palette.map((swatch) => bytes(swatch.color));
      const kept = this.chosenColor && answer.palette.findIndex((swatch) => swatch.color === this.chosenColor);
      this.chosen = kept >= 0 ? kept : null;
      this.showPalette();
      this.showFiles();
    }
    this.showNumbers();
    this.showClasses();
    this.draw();
  }

  setUrl(name, blob) {
    if (this.urls[name]) URL.revokeObjectURL(this.urls[name]);
    this.urls[name] = URL.createObjectURL(blob);
    return this.urls[name];
  }

  draw() {
    if (!this.answer) return;
    const { answer } = this;
    const map = answer.recognition && answer.recognition.map;
    let blob = new Blob([this.png], { type: "image/png" });
    let what = "";
    if (this.view === "map" && map) {
      blob = new Blob([fromBase64(map)], { type: "image/png" });
      what = `, places that speak for ${answer.recognition.map_class}`;
    } else if (this.method && this.chosen !== null) {
      const accent = getComputedStyle(document.documentElement).getPropertyValue("--highlight").trim();
      blob = this.recolored(highlightColors(this.colors, this.chosen, bytes(accent), dark.matches));
      what = `, pixels of the colour ${answer.palette[this.chosen].color}`;
    } else if (this.method && this.view === "index") {
      blob = this.recolored(indexColors(this.colors.length));
      what = ", index map";
    }
    this.picture.src = this.setUrl("shown", blob);
    this.picture.alt = `${this.title}${what}`;
    this.open.setAttribute("aria-label", `${this.title}${what}: open the large view`);
    this.picture.classList.toggle("small", Math.max(answer.width, answer.height) < 400);
    this.picture.style.setProperty("--ratio", `${answer.width} / ${answer.height}`);
  }

  recolored(colors) {
    return withPalette(this.png, this.answer.transparent ? [[0, 0, 0], ...colors] : colors);
  }

  showNumbers() {
    const { answer } = this;
    const pixels = answer.width * answer.height;
    const rows = this.method
      ? [
          ["Colours", whole(answer.palette.length) + (answer.transparent ? " and clear" : "")],
          ["PSNR", answer.exact ? "exact" : answer.psnr === null ? "none" : `${answer.psnr.toFixed(2)} dB`],
          ["PNG file", size(this.png.length)],
          ["Bits a pixel", ((8 * this.png.length) / pixels).toFixed(2)],
          ["Time", answer.milliseconds < 10 ? `${answer.milliseconds.toFixed(1)} ms` : `${whole(Math.round(answer.milliseconds))} ms`],
        ]
      : [
          ["Size", `${whole(answer.width)} × ${whole(answer.height)}`],
          ["Colours", whole(answer.colors)],
          ...(this.label ? [["Class", this.label]] : []),
        ];
    this.numbers.replaceChildren(
      ...rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
    );
  }

  showPalette() {
    const { palette } = this.answer;
    const all = this.answer.width * this.answer.height;
    const order = palette.map((_, index) => index).sort((a, b) => luminance(this.colors[a]) - luminance(this.colors[b]));
    const name = `palette-${this.method}`;
    const hadFocus = this.strip.contains(document.activeElement);
    this.strip.setAttribute("role", "radiogroup");
    this.strip.setAttribute("aria-label", `Palette of ${this.title}: choose a colour to see where it is`);
    this.strip.classList.toggle("many", palette.length > 64);
    this.strip.style.setProperty("--columns", palette.length > 64 ? 32 : Math.max(4, Math.min(16, palette.length)));
    this.strip.replaceChildren(
      ...order.map((index) => {
        const { color, pixels } = palette[index];
        const input = element("input", { type: "radio", name, value: index, "aria-label": `${color}, ${share(pixels, all)} of the pixels` });
        input.checked = index === this.chosen;
        input.addEventListener("change", () => this.choose(index));
        input.addEventListener("click", () => {
          if (this.pressed === index) this.choose(null);
        });
        const swatch = element("label", { title: `${color} · ${whole(pixels)} pixels` }, input);
        swatch.addEventListener("pointerdown", () => {
          this.pressed = this.chosen;
        });
        swatch.style.setProperty("--color", color);
        return swatch;
      }),
    );
    if (hadFocus) (this.strip.querySelector(":checked") || this.strip.querySelector("input")).focus();
    this.showCaption();
  }

  choose(index) {
    this.pressed = null;
    this.chosen = index;
    this.chosenColor = index === null ? null : this.answer.palette[index].color;
    for (const input of this.strip.querySelectorAll("input")) input.checked = Number(input.value) === index && index !== null;
    this.showCaption();
    this.draw();
  }

  showCaption() {
    if (this.chosen === null) {
      this.caption.replaceChildren(element("span", { class: "muted" }, "Choose a colour to find it."));
      return;
    }
    const { color, pixels } = this.answer.palette[this.chosen];
    const all = this.answer.width * this.answer.height;
    const clear = element("button", { type: "button", class: "link" }, "Clear");
    clear.addEventListener("click", () => this.choose(null));
    this.caption.replaceChildren(element("code", {}, color), `${whole(pixels)} px, ${share(pixels, all)}`, clear);
  }

  showClasses() {
    const { recognition } = this.answer;
    if (!recognition) {
      this.classes.replaceChildren();
      return;
    }
    if (recognition.note) {
      this.classes.replaceChildren(element("p", { class: "muted" }, recognition.note));
      return;
    }
    const rows = recognition.classes.map(({ name, confidence, true: right }) => {
      const row = element(
        "li",
        { class: right ? "right" : null },
        element("span", { class: "name" }, name, right ? element("span", { class: "tick", title: "the true class" }, " ✓") : ""),
        element("span", { class: "percent" }, `${(100 * confidence).toFixed(confidence < 0.0995 ? 1 : 0)} %`),
        element("span", { class: "bar", "aria-hidden": "true" }),
      );
      row.style.setProperty("--share", confidence);
      return row;
    });
    const parts = [element("ol", { "aria-label": "Likeliest classes" }, ...rows)];
    if (recognition.map && this.view === "map") {
      parts.push(element("p", { class: "muted" }, `Red: places that speak most for ${recognition.map_class}.`));
    }
    this.classes.replaceChildren(...parts);
  }

  showFiles() {
    const { answer } = this;
    const png = this.setUrl("png", new Blob([this.png], { type: "image/png" }));
    const gpl = this.setUrl("gpl", new Blob([answer.gpl], { type: "text/plain" }));
    this.files.replaceChildren(
      element("a", { href: png, download: `${answer.file}.png` }, "PNG"),
      element("a", { href: gpl, download: `${answer.file}.gpl` }, "Palette (.gpl)"),
    );
  }

  remove() {
    for (const url of Object.values(this.urls)) URL.revokeObjectURL(url);
    this.box.remove();
  }
}
