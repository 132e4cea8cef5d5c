// The choice of a picture: pages of small pictures, and those that were added.

import { ask, send } from "/api.js";
import { element } from "/tile.js";

const COUNT = 24;
const $ = (id) => document.getElementById(id);

export class Chooser {
  // `choose` is called with a picture.
  constructor(state, choose) {
    this.state = state;
    this.choose = choose;
    this.first = 0;
    $("previous").addEventListener("click", () => this.turn(this.first - COUNT));
    $("next").addEventListener("click", () => this.turn(this.first + COUNT));
    $("jump").addEventListener("change", () => this.jump(Number($("jump").value) - 1));
    $("file").addEventListener("change", () => {
      this.add([...$("file").files]);
      $("file").value = "";
    });
    for (const name of ["dragenter", "dragover"]) {
      document.addEventListener(name, (event) => {
        event.preventDefault();
        document.body.classList.add("dropping");
      });
    }
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      this.add([...event.dataTransfer.files]);
    });
  }

  // Show the page that holds a picture, and choose the picture.
  async begin(id) {
    const { total, added } = this.state;
    for (const picture of added) this.show(picture);
    const kept = added.find((picture) => picture.id === id);
    if (!kept && /^added-/.test(id || "")) this.tell("The picture of this address is no longer in memory: add it again.");
    if (total && kept) await this.turn(0);
    else if (total) await this.jump(/^data-\d+$/.test(id || "") ? Number(id.slice(5)) : 0);
    if (kept) this.pick(kept);
  }

  async jump(position) {
    const { total } = this.state;
    const at = Math.max(0, Math.min(total - 1, Number.isFinite(position) ? Math.floor(position) : 0));
    await this.turn(Math.floor(at / COUNT) * COUNT, at);
  }

  async turn(first, at = null) {
    const { total } = this.state;
    this.first = Math.max(0, Math.min(first, Math.floor((total - 1) / COUNT) * COUNT));
    const { pictures } = await ask(`/api/pictures?first=${this.first}&count=${COUNT}`);
    $("thumbs").hidden = false;
    $("thumbs-title").textContent = this.state.title;
    $("thumbs").replaceChildren($("thumbs-title"), ...pictures.map((picture) => this.thumb(picture)));
    $("pages").hidden = total <= COUNT;
    $("jump").max = total;
    $("jump").value = (at ?? this.first) + 1;
    $("of").textContent = `of ${total.toLocaleString("en")}`;
    $("previous").disabled = this.first === 0;
    $("next").disabled = this.first + COUNT >= total;
    if (at !== null) this.pick(pictures[at - this.first]);
    else this.mark();
  }

  thumb(picture) {
    const input = element("input", { type: "radio", name: "picture", value: picture.id });
    input.addEventListener("change", () => this.pick(picture));
    const image = element("img", {
      src: `/api/thumbnail?picture=${picture.id}`,
      alt: picture.label ? `${picture.name}, ${picture.label}` : picture.name,
      loading: "lazy",
    });
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 90));
    image.addEventListener("error", () => image.classList.add("broken"));
    return element("label", { title: image.alt }, input, image);
  }

  pick(picture) {
    this.picked = picture.id;
    if (picture.id.startsWith("data-")) $("jump").value = Number(picture.id.slice(5)) + 1;
    this.mark();
    this.choose(picture);
  }

  mark() {
    for (const input of document.querySelectorAll("input[name=picture]")) {
      input.checked = input.value === this.picked;
      const row = input.closest(".thumbs");
      if (input.checked) row.scrollLeft = input.parentElement.offsetLeft - row.clientWidth / 2;
    }
  }

  // Show a picture that was added, before the others.
  show(picture) {
    $("added").hidden = false;
    $("added").querySelector("legend").after(this.thumb(picture));
  }

  tell(text) {
    $("add-note").textContent = text;
    $("add-note").hidden = false;
  }

  async add(files) {
    $("add-note").hidden = true;
    let last = null;
    for (const file of files) {
      try {
        const most = this.state.most_bytes;
        if (file.size > most) throw new Error(`${file.name} has more than ${most / 2 ** 20} MiB: scale the picture down first.`);
        last = await send(file);
        this.show(last);
      } catch (error) {
        this.tell(error.message);
      }
    }
    if (last) this.pick(last);
  }
}
