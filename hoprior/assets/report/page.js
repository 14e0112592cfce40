"use strict";
// The page: what is chosen, what is told of it, and the tables of an evaluation.

const by = (id) => document.getElementById(id);
const WORDS = { plain: "plain", contact: "contact", depth: "depth", change: "change", seen: "seen by the camera" };
const LEGENDS = {
  contact: ["touches", "5 mm away"], depth: ["0 mm inside the object", "10 mm"],
  change: ["0 mm moved", "20 mm"], seen: ["guessed", "seen"],
};

function element(tag, text, into) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (into) into.append(made);
  return made;
}
function trouble(text) { by("trouble").textContent = text; by("trouble").hidden = false; }

function tellAbout(content) {
  by("title").textContent = content.title;
  by("subtitle").textContent = content.subtitle;
  content.about.forEach(([label, value]) => { element("h2", label, by("about-text")); element("pre", value, by("about-text")); });
  by("about").hidden = !content.about.length;
}

function tellFacts(item, into) {
  into.replaceChildren();
  element("h2", item.title, into);
  (item.notes || []).forEach((note) => { element("p", note, into).className = "note"; });
  const list = element("dl", undefined, into);
  item.facts.forEach(([label, value, why]) => {
    element("dt", label, list);
    const told = element("dd", value, list);
    if (why) element("small", why, told);
  });
}

function tellBoth(first, second, into) {
  into.replaceChildren();
  const table = element("table", undefined, into), head = element("tr", undefined, table);
  ["", first.title, second.title].forEach((text) => element("th", text, head));
  const labels = [...new Set([...first.facts, ...second.facts].map(([label]) => label))];
  labels.forEach((label) => {
    const row = element("tr", undefined, table);
    element("td", label, row);
    [first, second].forEach((item) => element("td", (item.facts.find(([name]) => name === label) || [])[1] ?? "-", row));
  });
}

function showTables(content) {
  (content.tables || []).forEach((table) => {
    const section = element("section", undefined, by("tables"));
    element("h2", table.title, section);
    if (table.note) element("p", table.note, section);
    if (table.chart) { const box = element("div", undefined, section); box.innerHTML = table.chart; }
    const box = element("div", undefined, section); box.className = "scroll";
    const drawn = element("table", undefined, box), head = element("tr", undefined, element("thead", undefined, drawn));
    table.columns.forEach((name) => element("th", name, head));
    const body = element("tbody", undefined, drawn);
    table.rows.forEach((row) => {
      const line = element("tr", undefined, body);
      if (row.mean) line.className = "mean";
      row.cells.forEach((cell, k) => {
        const place = element("td", cell, line), share = row.shares && row.shares[k];
        if (share !== null && share !== undefined) { const bar = element("span", undefined, place); bar.className = "bar"; bar.style.width = `${Math.round(100 * share)}%`; }
      });
    });
  });
}

class Page {
  constructor(content, arrays) {
    this.content = content;
    by("viewer").hidden = false;
    this.viewer = new Viewer(by("canvas"), arrays);
    this.frames = Math.max(...content.items.map((item) => item.frames || 1));
    this.buildList(); this.buildTools(); if (this.frames > 1) this.buildTime();
    this.choose(0);
    if (content.photoFirst) this.choosePhoto(true);
  }
  get state() { return this.viewer.state; }
  get items() { return this.content.items; }

  buildList() {
    if (this.items.length === 1) { by("viewer").classList.add("alone"); return; }
    this.buttons = this.items.map((item, index) => {
      const button = element("button", undefined, by("items"));
      button.append(document.createElement("canvas"));
      const words = element("span", undefined, button);
      element("b", item.title, words); element("small", item.brief, words);
      button.onclick = () => this.choose(index);
      return button;
    });
    // One after the other, so that the first one can be looked at meanwhile; photos take a moment to unpack.
    const waiting = this.items.map((_, index) => index);
    const next = () => {
      const until = performance.now() + 80;
      for (let tries = waiting.length; tries > 0 && performance.now() < until; tries--) {
        const index = waiting.shift();
        if (!this.viewer.thumbnail(index, this.buttons[index].querySelector("canvas"))) waiting.push(index);
      }
      this.viewer.draw();
      if (waiting.length) setTimeout(next, 20);
      else document.body.dataset.thumbnails = "yes";
    };
    setTimeout(next, 30);
  }
  buildTools() {
    by("previous").onclick = () => this.choose(this.state.items[0] - 1);
    by("next").onclick = () => this.choose(this.state.items[0] + 1);
    const options = this.items.length > 1;
    ["previous", "next", "compare", "which"].forEach((id) => { by(id).hidden = !options; });
    this.content.modes.forEach((mode) => { element("option", WORDS[mode], by("colours")).value = mode; });
    by("colours").parentElement.hidden = this.content.modes.length < 2;
    by("colours").onchange = () => this.chooseColours(by("colours").value);
    this.chooseColours(this.content.modes.includes("contact") ? "contact" : "plain");
    const roles = [...new Set(this.items[0].parts.map((part) => part.role))];
    if (this.items[0].joints) roles.push("joints");
    roles.forEach((role) => {
      const label = element("label", undefined, by("parts")), box = element("input", undefined, label);
      box.type = "checkbox"; box.id = `show-${role}`; label.append((this.content.words || {})[role] || role);
      if (this.content.hide && this.content.hide.includes(role)) this.state.hidden.add(role);
      box.checked = !this.state.hidden.has(role);
      box.onchange = () => { box.checked ? this.state.hidden.delete(role) : this.state.hidden.add(role); this.viewer.ask(); };
    });
    by("parts").hidden = roles.length < 2;
    const views = [...this.items[0].views.map((view) => view.name)];
    if (this.items[0].photos) {
      this.photoButton = element("button", "on the photo", by("views"));
      this.photoButton.id = "photo"; this.photoButton.onclick = () => this.choosePhoto(!this.state.photo);
    }
    views.forEach((name) => { element("button", name, by("views")).onclick = () => this.viewer.look(name); });
    by("through").oninput = () => { this.state.through = by("through").value / 100; this.viewer.ask(); };
    by("compare").onclick = () => this.compare(by("other").hidden);
    this.items.forEach((item, index) => { element("option", item.title, by("other")).value = index; });
    by("other").onchange = () => { this.state.items[1] = Number(by("other").value); this.refresh(); };
    by("screenshot").onclick = () => this.save();
    const clip = this.items[0].camera && this.items[0].camera.length > 1;
    by("still-box").hidden = !clip;
    by("still").onchange = () => { this.state.still = by("still").value; this.viewer.ask(); };
    document.addEventListener("keydown", (event) => {
      if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft") this.choose(this.state.items[0] - 1);
      else if (event.key === "ArrowRight") this.choose(this.state.items[0] + 1);
      else if (event.key === "s") this.save();
      else if (event.key === " " && this.frames > 1) { event.preventDefault(); this.play(!this.playing); }
    });
  }
  buildTime() {
    by("time").hidden = false; by("play-hint").hidden = false; by("at").max = this.frames - 1;
    by("at").oninput = () => { this.play(false); this.show(Number(by("at").value)); };
    by("play").onclick = () => this.play(!this.playing);
    this.show(0);
  }
  show(frame) {
    this.state.frame = frame; by("at").value = frame;
    const numbers = this.items[0].numbers || [];
    by("at-text").textContent = `frame ${numbers[frame] ?? frame} (${frame + 1} of ${this.frames})`;
    this.viewer.ask();
  }
  play(on) {
    this.playing = on; by("play").textContent = on ? "pause" : "play";
    clearTimeout(this.timer);
    const step = () => {
      if (!this.playing) return;
      this.show((this.state.frame + 1) % this.frames);
      this.timer = setTimeout(step, 1000 / (this.content.fps * Number(by("speed").value)));
    };
    if (on) step();
  }
  choose(index) {
    const count = this.items.length;
    this.state.items[0] = (index + count) % count;
    this.refresh();
    this.viewer.look(this.viewer.view);
  }
  compare(on) {
    by("other").hidden = !on; by("compare").setAttribute("aria-pressed", on);
    this.state.items.length = 1;
    if (on) { const other = (this.state.items[0] + 1) % this.items.length; this.state.items.push(other); by("other").value = other; }
    this.refresh(); this.viewer.look(this.viewer.view);
  }
  refresh() {
    const [first, second] = this.state.items;
    by("which").textContent = `${first + 1} of ${this.items.length}`;
    by("left-label").textContent = this.items[first].title;
    by("right-label").hidden = second === undefined;
    if (second !== undefined) by("right-label").textContent = this.items[second].title;
    (this.buttons || []).forEach((button, k) => {
      button.setAttribute("aria-current", k === first);
      if (k === first) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    if (second === undefined) tellFacts(this.items[first], by("facts"));
    else tellBoth(this.items[first], this.items[second], by("facts"));
    this.viewer.ask();
  }
  chooseColours(mode) {
    this.state.mode = mode; by("colours").value = mode;
    by("legend").replaceChildren();
    if (LEGENDS[mode]) {
      const stops = STOPS[mode].map(([at, colour]) => `${colour || this.content.colours.hand} ${100 * at}%`);
      by("legend").append(LEGENDS[mode][0]);
      element("i", undefined, by("legend")).style.background = `linear-gradient(90deg, ${stops})`;
      by("legend").append(LEGENDS[mode][1]);
    }
    this.viewer.ask();
  }
  choosePhoto(on) {
    this.state.photo = Boolean(on && this.items[0].photos);
    if (this.photoButton) this.photoButton.setAttribute("aria-pressed", this.state.photo);
    this.viewer.look(this.viewer.view);
  }
  save() {
    this.viewer.draw();
    const link = document.createElement("a");
    link.href = by("canvas").toDataURL("image/png");
    link.download = `${this.content.kind}-${this.state.items.map((k) => k + 1).join("-")}.png`;
    link.click();
    document.body.dataset.saved = link.download;
  }
}

async function start() {
  const content = JSON.parse(by("content").textContent);
  tellAbout(content); showTables(content);
  if (content.items && content.items.length) {
    if (typeof DecompressionStream === "undefined") return trouble("This browser is too old for the 3D view: open the page in one of 2023 or later, or look at the .png beside it.");
    let arrays;
    try { arrays = await Arrays.read(content); } catch (error) { return trouble(`The page is damaged (${error.message}): make it again with hoprior view.`); }
    try { window.page = new Page(content, arrays); } catch (error) {
      if (!/webgl/i.test(error.message)) throw error;
      by("viewer").hidden = true;
      return trouble("This browser draws no 3D (WebGL is off): switch it on, or look at the .png beside this page.");
    }
    window.page.viewer.draw();
  }
  document.body.dataset.ready = "yes";
}
start();
