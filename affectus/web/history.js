// Earlier answers, in this browser alone: names and scores, never sound.

import { make, percent, short, tone } from "./words.js";

const KEY = "affectus.history";
const MOST = 200;

const load = () => {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
};

const save = (entries) => {
  try {
    if (!entries.length) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(entries.slice(0, MOST)));
  } catch { /* private windows may keep nothing */ }
};

export const remember = (prediction, model) => {
  save([{ when: new Date().toISOString(), ...prediction, model }, ...load()]);
};

// A cell that a spreadsheet takes for text: never for a formula.
const cell = (value) => {
  const text = String(value ?? "");
  const plain = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
};

const toCsv = (entries) => {
  const labels = [...new Set(entries.flatMap((entry) => Object.keys(entry.scores ?? {})))];
  const lines = [["when", "model", "file", "start", "end", "emotion", ...labels]];
  for (const entry of entries) {
    for (const part of entry.segments?.length ? entry.segments : [entry]) {
      lines.push([entry.when, entry.model, entry.file, part.start, part.end, part.emotion, ...labels.map((label) => part.scores?.[label])]);
    }
  }
  return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
};

const offer = (text, type, name) => {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

export const showHistory = () => {
  const entries = load();
  document.getElementById("history").hidden = entries.length === 0;
  document.getElementById("history-rows").replaceChildren(...entries.slice(0, 50).map((entry) => {
    const best = entry.emotion ? percent(entry.scores?.[entry.emotion] ?? 0) : "";
    const when = new Date(entry.when);
    return make("tr", {},
      make("td", { class: "name" }, entry.file),
      make("td", { class: "answer" }, make("span", { class: `swatch ${tone(entry.emotion)}`, "aria-hidden": "true" }), short(entry)),
      make("td", {}, best),
      make("td", {}, entry.model),
      make("td", {}, Number.isNaN(when.getTime()) ? "" : when.toLocaleString([], { dateStyle: "short", timeStyle: "short" })),
    );
  }));
};

export const setUpHistory = () => {
  const on = (id, act) => document.getElementById(id).addEventListener("click", act);
  on("export-csv", () => offer(toCsv(load()), "text/csv", "affectus.csv"));
  on("export-json", () => offer(JSON.stringify(load(), null, 1), "application/json", "affectus.json"));
  on("clear", () => { save([]); showHistory(); document.getElementById("files").focus(); });
  showHistory();
};
