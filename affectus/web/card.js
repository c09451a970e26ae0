// A model card's Markdown as elements: headings, lists, paragraphs. Nothing in it is taken as HTML.

import { readCard } from "./api.js";
import { make } from "./words.js";

const plain = (text) => text.replaceAll("**", "").replaceAll("`", "");

export const render = (text) => {
  const nodes = [];
  for (const block of text.split(/\n\s*\n/)) {
    const lines = block.split("\n").filter((line) => line.trim());
    if (!lines.length) continue;
    if (lines.every((line) => /^\s*([-*]|\d+\.) |^\s{2,}/.test(line))) {
      const items = lines.join("\n").split(/^\s*(?:[-*]|\d+\.) /m).slice(1);
      nodes.push(make("ul", {}, ...items.map((item) => make("li", {}, plain(item.replace(/\s+/g, " "))))));
    } else if (lines.every((line) => line.trim().startsWith("|"))) {
      nodes.push(table(lines));
    } else if (lines[0].startsWith("#")) {
      nodes.push(make("h3", {}, plain(lines[0].replace(/^#+\s*/, ""))));
      if (lines.length > 1) nodes.push(...render(lines.slice(1).join("\n")));
    } else {
      nodes.push(make("p", {}, plain(lines.join(" "))));
    }
  }
  return nodes;
};

const table = (lines) => {
  const rows = lines.filter((line) => !/^\s*\|[\s:|-]+\|\s*$/.test(line))
    .map((line) => line.trim().replace(/^\||\|$/g, "").split("|").map((text) => plain(text.trim())));
  const [head, ...rest] = rows;
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rest.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text)))))));
};

export const setUpCard = (chosen, fail) => {
  const dialog = document.getElementById("card");
  document.getElementById("close-card").addEventListener("click", () => dialog.close());
  document.getElementById("show-card").addEventListener("click", async () => {
    try {
      const text = await readCard(chosen());
      document.getElementById("card-text").replaceChildren(...render(text));
      dialog.showModal();
    } catch (error) {
      fail(error.message);
    }
  });
};
