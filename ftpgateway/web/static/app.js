"use strict";
// Makes some of the pages quicker; without it all of them work.
document.documentElement.classList.add("js");

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const typing = (target) => target.closest("input, select, textarea, dialog, details[open]");

// Times in the reader's own zone.
const zone = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});
for (const time of all("time")) time.textContent = zone.format(new Date(time.dateTime));

for (const select of all("[data-submits]")) select.addEventListener("change", () => select.form.submit());

for (const back of all("[data-back]")) {
  back.addEventListener("click", (event) => {
    if (history.length > 1) { event.preventDefault(); history.back(); }
  });
}

// One panel is open at a time.
for (const drop of all("details.drop")) {
  drop.addEventListener("toggle", () => {
    if (!drop.open) return;
    for (const other of all("details.drop[open]")) if (other !== drop) other.open = false;
    const field = one("input:not([type=hidden]), select", drop);
    if (field) { field.focus(); if (field.value && field.type !== "file") field.select?.(); }
  });
}
document.addEventListener("click", (event) => {
  for (const drop of all("details.drop[open]")) if (!drop.contains(event.target)) drop.open = false;
});

// What cannot be undone is asked once more.
function confirmed(text) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const words = document.createElement("p");
    words.textContent = text;
    const buttons = document.createElement("div");
    const no = document.createElement("button"), yes = document.createElement("button");
    no.textContent = "Cancel";
    no.className = "quiet";
    yes.textContent = "Delete";
    yes.className = "danger";
    no.onclick = () => dialog.close();
    yes.onclick = () => dialog.close("yes");
    dialog.onclose = () => { dialog.remove(); resolve(dialog.returnValue === "yes"); };
    buttons.append(no, yes);
    dialog.append(words, buttons);
    document.body.append(dialog);
    dialog.showModal();
  });
}
for (const button of all("[data-confirm]")) {
  button.addEventListener("click", async (event) => {
    if (button.dataset.sure) return;
    event.preventDefault();
    if (await confirmed(button.dataset.confirm)) { button.dataset.sure = "1"; button.form.requestSubmit(button); }
  });
}

// Choosing pictures.
const boxes = all(".pick input");
let last = null;
function chosen() {
  const count = boxes.filter((box) => box.checked).length;
  document.body.classList.toggle("choosing", count > 0);
  document.body.classList.toggle("many", count > 1);
  const text = one("#bar .count");
  if (text) text.textContent = count ? `${count} chosen` : "";
  if (!count) for (const drop of all("#bar details[open]")) drop.open = false;
  const name = one("#bar .one input[name=name]");
  const box = boxes.find((each) => each.checked);
  if (name && box && count === 1) name.value = box.value.split("/").pop();
}
for (const box of boxes) {
  box.addEventListener("click", (event) => {
    if (event.shiftKey && last && last !== box) {
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      for (const each of boxes.slice(from, to + 1)) each.checked = box.checked;
    }
    last = box;
    chosen();
  });
}
function choose(on) { for (const box of boxes) box.checked = on; chosen(); }
one("[data-none]")?.addEventListener("click", () => choose(false));
chosen();
addEventListener("pageshow", chosen);

// Keys.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const open = one("details.drop[open]");
    if (open) { open.open = false; one("summary", open).focus(); return; }
    if (document.body.classList.contains("choosing")) { choose(false); return; }
    const up = one("[data-up]");
    if (up && !one("dialog[open]")) location.href = up.href;
    return;
  }
  if (typing(event.target) || event.altKey || event.metaKey) return;
  if (event.ctrlKey) {
    if (event.key === "a" && boxes.length) { event.preventDefault(); choose(true); }
    return;
  }
  const turn = {ArrowLeft: "prev", ArrowRight: "next"}[event.key];
  const link = turn && one(`.turn[rel=${turn}]`);
  if (link) { event.preventDefault(); location.replace(link.href); return; }
  const tiles = all("#grid .tile > .face");
  const at = tiles.indexOf(document.activeElement);
  if (at < 0) return;
  if (event.key === "x") { const box = one(".pick input", tiles[at].parentElement); box.checked = !box.checked; chosen(); return; }
  const row = tiles.findIndex((tile) => tile.offsetTop > tiles[0].offsetTop);
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -(row < 0 ? tiles.length : row), ArrowDown: row < 0 ? tiles.length : row}[event.key];
  if (step && tiles[at + step]) { event.preventDefault(); tiles[at + step].focus(); }
});
// The one that comes next is got while this one is looked at; not from the inbox, where that would open it.
const following = one(".turn[rel=next]");
if (following && !following.getAttribute("href").startsWith("/view/inbox/")) {
  addEventListener("load", () => {
    const ahead = new Image();
    ahead.src = following.getAttribute("href").replace(/^\/view\//, "/files/").replace(/\?.*$/, "");
  });
}

// Uploads: a few at a time, with progress; each is safe when it counts as done.
const form = one("#upload");
if (form) {
  const AT_ONCE = 3;
  const box = one("#transfers");
  const waiting = [];
  let under = 0, done = 0, failed = 0, whole = 0, gone = 0;
  const line = document.createElement("p"), bar = document.createElement("progress");
  const show = () => {
    box.hidden = false;
    line.textContent = under || waiting.length ? `${done} of ${done + failed + under + waiting.length} stored` : `${done} stored safely`;
    bar.max = whole || 1;
    bar.value = gone;
  };
  const problem = (name, text) => {
    failed += 1;
    const words = document.createElement("p");
    words.className = "failed";
    words.textContent = `${name}: ${text}`;
    box.append(words);
  };
  const next = () => {
    while (under < AT_ONCE && waiting.length) send(waiting.shift());
    show();
    if (!under && !waiting.length && done && !failed) location.reload();
    if (!under && !waiting.length) removeEventListener("beforeunload", stay);
  };
  const stay = (event) => event.preventDefault();
  function send(file) {
    under += 1;
    let sent = 0;
    const request = new XMLHttpRequest();
    const base = form.dataset.put.replace(/\/$/, "");
    const beside = "beside" in form.dataset ? "&beside=1" : "";
    request.open("PUT", `${base}/${encodeURIComponent(file.name)}?modified=${(file.lastModified / 1000).toFixed(3)}${beside}`);
    request.upload.onprogress = (event) => { gone += event.loaded - sent; sent = event.loaded; show(); };
    request.onload = () => {
      if (request.status < 300) done += 1;
      else {
        let text = "it was not stored.";
        try { text = JSON.parse(request.responseText).detail || text; } catch { /* no document of ours */ }
        problem(file.name, text);
      }
    };
    request.onerror = () => problem(file.name, "the connection broke; try again.");
    request.onloadend = () => { under -= 1; gone += file.size - sent; next(); };
    request.send(file);
  }
  const take = (files) => {
    const list = [...files].filter((file) => file.size || file.type);
    if (!list.length) return;
    box.replaceChildren(line, bar);
    failed = 0;
    addEventListener("beforeunload", stay);
    for (const file of list) { whole += file.size; waiting.push(file); }
    next();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    take(one("[type=file]", form).files);
    form.reset();
    form.closest("details").open = false;
  });
  const shade = one("#dropping");
  let depth = 0;
  const files = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  addEventListener("dragenter", (event) => { if (files(event)) { depth += 1; shade.hidden = false; } });
  addEventListener("dragleave", (event) => { if (files(event) && !(depth -= 1)) shade.hidden = true; });
  addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    shade.hidden = true;
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData.files); });
}
