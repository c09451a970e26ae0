// Runs: a list, and the chosen ones in full, side by side where they are several. Read-only.

import { call, keepToken, onToken } from "./api.js";
import { chart } from "./chart.js";
import { make } from "./words.js";

const $ = (id) => document.getElementById(id);
const EVERY = 3; // s between looks at runs that train
const RECENT = 600; // s without an epoch after which a run counts as stopped

const chosen = new Set(new URLSearchParams(location.search).getAll("run"));
let seen = "";

onToken(() => new Promise((resolve) => {
  const dialog = $("ask-token");
  dialog.addEventListener("close", () => { keepToken($("token").value.trim()); resolve(); }, { once: true });
  if (!dialog.open) dialog.showModal();
}));

const share = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const interval = ([value, low, high]) => (low === null ? share(value) : `${share(value)} (${share(low)} – ${share(high)})`);

const state = (run) => {
  if (run.finished === run.folds) return ["finished", ""];
  const epochs = run.folds > 1 ? `fold ${Math.min(run.folds, run.finished + 1)} of ${run.folds}` : `${run.epochs} epochs`;
  return Date.now() / 1000 - run.changed < RECENT ? [`training, ${epochs}`, "going"] : [`stopped at ${epochs}`, ""];
};

const row = (run) => {
  const [word, kind] = state(run);
  const box = make("input", { type: "checkbox", value: run.name, onchange: (event) => {
    if (event.target.checked) chosen.add(run.name); else chosen.delete(run.name);
    const query = new URLSearchParams([...chosen].map((name) => ["run", name]));
    history.replaceState(null, "", chosen.size ? `?${query}` : location.pathname);
    showDetails();
  } });
  box.checked = chosen.has(run.name);
  return make("tr", {},
    make("td", { class: "name" }, make("label", {}, box, run.name)),
    make("td", { class: `state ${kind}` }, word),
    make("td", {}, run.model), make("td", {}, run.protocol ?? "–"),
    make("td", { class: "number" }, share(run.dev_uar)),
    make("td", { class: "number" }, run.test_uar ? share(run.test_uar[0]) : "–"));
};

const fact = (name, value, note = "") => [make("dt", {}, name), make("dd", {}, value, note ? make("small", {}, note) : "")];

const facts = (pairs) => make("dl", { class: "facts" }, ...pairs.map(([name, value, note]) => make("div", {}, ...fact(name, value, note))));

const legend = (series) => make("ul", { class: "legend" }, ...series.map(({ name }, place) =>
  make("li", {}, make("span", { class: `swatch s${place % 8}`, "aria-hidden": "true" }), name)));

const curves = (series, title, key, range) => {
  const lines = series.map(({ name, epochs }) => ({ name, points: epochs.map((epoch) => [epoch.epoch, epoch[key]]) }));
  if (!lines.some((line) => line.points.length)) return null;
  return make("figure", {}, make("figcaption", {}, title), chart(title, lines, range), lines.length > 1 ? legend(lines) : null);
};

const charts = (series) => make("div", { class: "charts" },
  curves(series, "UAR on dev speakers", "dev_uar", [0, 1]),
  curves(series, "Loss on training clips", "loss", null));

const confusion = ({ labels, confusion: counts }) => {
  const rows = counts.map((line, place) => {
    const total = line.reduce((sum, n) => sum + n, 0);
    return make("tr", {}, make("th", { scope: "row" }, labels[place]), ...line.map((n, other) => {
      const cell = make("td", { class: place === other ? "hit" : "", title: `${labels[place]} taken for ${labels[other]}: ${n} of ${total}` }, String(n));
      cell.style.setProperty("--share", total ? (n / total).toFixed(3) : "0");
      return cell;
    }));
  });
  const head = make("tr", {}, make("th", { scope: "col" }, "truth"), ...labels.map((label) => make("th", { scope: "col" }, label)));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" },
    make("table", { class: "confusion" }, make("thead", {}, head), make("tbody", {}, ...rows)));
};

const flat = (value, path = "") => Object.entries(value).flatMap(([key, inner]) =>
  inner !== null && typeof inner === "object" && !Array.isArray(inner) ? flat(inner, `${path}${key}.`) : [[`${path}${key}`, inner]]);

const settings = (experiment) => make("details", {}, make("summary", {}, "Experiment"),
  make("dl", { class: "settings" }, ...flat(experiment).flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, Array.isArray(value) ? value.join(", ") : String(value))])));

const evaluation = (found) => [
  make("h3", {}, `Scores on ${found.side} speakers`),
  facts([["UAR", interval(found.uar)], ["Accuracy", interval(found.war)], ["Macro F1", interval(found.macro_f1)],
    ["Clips", String(found.n_answered), `of ${found.n_speakers} speaker${found.n_speakers === 1 ? "" : "s"}`]]),
  found.protocol?.leaky ? make("p", { class: "problem" }, "LEAKY: the same speakers are in training and in test. Do not report this score.") : null,
  confusion(found),
  found.cautions?.length ? make("ul", { class: "cautions" }, ...found.cautions.map((text) => make("li", {}, text))) : null,
];

const full = (run) => {
  const [word] = state(run);
  return make("article", { class: "run", "aria-label": run.name },
    make("div", { class: "row" }, make("h2", {}, run.name), make("span", { class: "state" }, word)),
    facts([["Network", run.model], ["Features", run.features], ["Protocol", run.protocol ?? "–"], ["Best dev UAR", share(run.dev_uar), run.folds > 1 ? `mean of ${run.folds} folds` : ""],
      ...(run.seeds.length ? [["Seeds", run.seeds.join(", "), "scores are the mean over their networks"]] : [])]),
    charts(run.curves.map((fold) => ({ name: fold.fold, epochs: fold.epochs }))),
    ...Object.values(run.evaluations).flatMap(evaluation).filter(Boolean),
    settings(run.experiment));
};

const difference = (runs) => {
  const tables = runs.map((run) => Object.fromEntries(flat(run.experiment)));
  const keys = [...new Set(tables.flatMap(Object.keys))].filter((key) => key !== "name" && new Set(tables.map((table) => JSON.stringify(table[key]))).size > 1);
  if (!keys.length) return make("p", { class: "hint" }, "Their settings are the same.");
  const head = make("tr", {}, make("th", { scope: "col" }, "Setting"), ...runs.map((run) => make("th", { scope: "col" }, run.name)));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Settings that differ, table" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...keys.map((key) => make("tr", {}, make("td", {}, key),
      ...tables.map((table) => make("td", {}, table[key] === undefined ? "–" : String(table[key]))))))));
};

const comparison = (runs) => {
  const longest = (run) => run.curves.reduce((best, fold) => (fold.epochs.length > best.length ? fold.epochs : best), []);
  const protocols = new Set(runs.map((run) => run.protocol));
  return make("article", { class: "run", "aria-label": "Comparison" },
    make("h2", {}, "Side by side"),
    protocols.size > 1 ? make("p", { class: "cautions" }, "Protocols differ: these scores cannot be compared.") : null,
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores, table" }, make("table", {},
      make("thead", {}, make("tr", {}, ...["Run", "Dev UAR", "Test UAR (95 % by speaker)"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...runs.map((run) => make("tr", {}, make("td", {}, run.name), make("td", {}, share(run.dev_uar)), make("td", {}, run.test_uar ? interval(run.test_uar) : "–")))))),
    charts(runs.map((run) => ({ name: run.name, epochs: longest(run) }))),
    make("h3", {}, "Settings that differ"), difference(runs));
};

const open = () => [...document.querySelectorAll("#details article")].filter((node) => node.querySelector("details[open]")).map((node) => node.getAttribute("aria-label"));

const showDetails = async () => {
  const found = await Promise.all([...chosen].map((name) => call(`/v1/runs/${encodeURIComponent(name)}`).then((reply) => reply.json()).catch(() => null)));
  const runs = found.filter(Boolean);
  const now = JSON.stringify(runs);
  if (now === seen) return; // nothing moved: leave scroll, focus and open parts alone
  seen = now;
  const wereOpen = open();
  const articles = runs.map(full);
  for (const node of articles) if (wereOpen.includes(node.getAttribute("aria-label"))) node.querySelector("details").open = true;
  $("details").replaceChildren(...(runs.length > 1 ? [comparison(runs)] : []), ...articles);
};

const look = async () => {
  const { runs } = await (await call("/v1/runs")).json();
  if (!chosen.size && runs.length === 1) chosen.add(runs[0].name);
  $("list").hidden = runs.length === 0;
  if (!runs.length) $("lead").textContent = "There are no runs in this folder yet. Make one: affectus train EXPERIMENT.";
  const focused = document.activeElement?.value;
  $("rows").replaceChildren(...runs.map(row));
  if (focused) document.querySelector(`#rows input[value="${CSS.escape(focused)}"]`)?.focus();
  await showDetails();
  return runs.some((run) => run.finished < run.folds);
};

const follow = async () => {
  try {
    $("problem").hidden = true;
    const training = document.hidden ? true : await look();
    setTimeout(follow, 1000 * (training ? EVERY : 5 * EVERY));
  } catch (error) {
    const gone = error.code === "not-found";
    $("problem").textContent = gone ? "No folder of runs was given: start the service with --runs FOLDER." : error.message;
    $("problem").hidden = false;
    if (!gone) setTimeout(follow, 1000 * 5 * EVERY);
  }
};

follow();
