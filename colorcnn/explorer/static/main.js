// The page: options, their place in the address, and the tiles.

import { ask } from "/api.js";
import { Chooser } from "/pictures.js";
import { element, Tile } from "/tile.js";

const $ = (id) => document.getElementById(id);
const SIZES = [32, 64, 96, 128, 224, 256, 512];
const tiles = new Map();
let state;
let picture = null;

function problem(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
}

function options() {
  const view = document.querySelector("input[name=view]:checked").value;
  return {
    picture: picture.id,
    colors: Number($("colors").value),
    dither: $("dither").value || null,
    size: Number($("size").value) || null,
    maps: view === "map",
    view,
    label: picture.label,
  };
}

const chosenMethods = () => [...document.querySelectorAll("#methods input:checked")].map((input) => input.value);

function setColors(colors) {
  const known = Math.max(1, Math.min(256, Math.round(colors) || 1));
  $("colors").value = known;
  $("slider").value = Math.round(Math.log2(known));
  $("slider").setAttribute("aria-valuetext", `${known} colours`);
}

function remember(asked) {
  const { view, colors } = asked;
  const parts = new URLSearchParams({ picture: asked.picture, colors, view, methods: chosenMethods().join(",") });
  if (asked.dither) parts.set("dither", asked.dither);
  if (asked.size) parts.set("size", asked.size);
  history.replaceState(null, "", `#${parts}`);
}

function update() {
  $("welcome").hidden = picture !== null;
  if (picture === null) return;
  const asked = options();
  const wanted = new Map([["", "Original"]]);
  for (const method of chosenMethods()) wanted.set(method, state.methods.find(({ id }) => id === method).name);
  for (const [id, tile] of tiles) {
    if (!wanted.has(id)) {
      tile.remove();
      tiles.delete(id);
    }
  }
  for (const [id, name] of wanted) {
    if (!tiles.has(id)) tiles.set(id, new Tile(name, id || null, enlarge));
  }
  [...wanted.keys()].forEach((id, place) => {
    const { box } = tiles.get(id);
    if ($("results").children[place] !== box) $("results").insertBefore(box, $("results").children[place] || null);
  });
  for (const tile of tiles.values()) tile.ask(asked);
  remember(asked);
}

function enlarge(tile) {
  const original = tiles.get("");
  const show = () => {
    const shown = $("large-original").checked ? original : tile;
    $("large-picture").src = shown.picture.src;
    $("large-picture").alt = shown.picture.alt;
    $("large-picture").className = shown.picture.className;
  };
  $("large-title").textContent = tile.title;
  $("large-original").checked = false;
  $("large-original").parentElement.hidden = tile === original;
  $("large-original").onchange = show;
  show();
  $("large").showModal();
}

function build() {
  const facts = [state.title, state.classifier ? `classifier ${state.classifier}` : "", `version ${state.version}`];
  $("about").textContent = facts.filter(Boolean).join(" · ");
  for (const dither of state.dithers) $("dither").append(element("option", { value: dither }, dither));
  const sizes = [...new Set([...SIZES, ...(state.size ? [state.size] : [])])].sort((a, b) => a - b);
  for (const side of sizes) $("size").append(element("option", { value: side }, `${side} × ${side}`));
  $("size").value = state.size || "";
  for (const { id, name, learned, shown } of state.methods) {
    const input = element("input", { type: "checkbox", value: id });
    input.checked = shown;
    const label = element("label", { title: learned ? `${id}, a network` : id }, input, element("span", {}, name));
    $("methods").append(label);
  }
  $("view-map").hidden = !state.classifier;
}

function restore() {
  const parts = new URLSearchParams(location.hash.slice(1));
  setColors(Number(parts.get("colors")) || 8);
  for (const name of ["dither", "size"]) {
    const option = [...$(name).options].find(({ value }) => value === parts.get(name));
    if (option) $(name).value = option.value;
  }
  const view = document.querySelector(`input[name=view][value="${CSS.escape(parts.get("view") || "picture")}"]`);
  if (view && !view.closest("[hidden]")) view.checked = true;
  if (parts.has("methods")) {
    const wanted = parts.get("methods").split(",");
    for (const input of document.querySelectorAll("#methods input")) input.checked = wanted.includes(input.value);
  }
  return parts.get("picture");
}

async function start() {
  state = await ask("/api/state");
  build();
  const asked = restore();
  const chooser = new Chooser(state, (chosen) => {
    picture = chosen;
    update();
  });
  $("slider").addEventListener("input", () => {
    setColors(2 ** Number($("slider").value));
    update();
  });
  $("colors").addEventListener("change", () => {
    setColors(Number($("colors").value));
    update();
  });
  $("controls").addEventListener("change", (event) => {
    if (!["slider", "colors"].includes(event.target.id)) update();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("large-close").addEventListener("click", () => $("large").close());
  $("large").addEventListener("click", (event) => {
    if (event.target === $("large")) $("large").close();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const tile of tiles.values()) tile.draw();
  });
  update();
  await chooser.begin(asked);
}

start().catch(problem);
