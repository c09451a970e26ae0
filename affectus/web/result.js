// One recording's answer as a card: by one model, or by two side by side.

import { showSound } from "./sound.js";
import { alone, clock, make, percent, ranked, short, tone, verdict } from "./words.js";

const bars = (scores, best) => {
  const list = make("dl", { class: "bars" });
  for (const [label, score] of ranked(scores)) {
    const fill = make("i");
    fill.style.width = percent(score).replace(/\s/g, "");
    list.append(
      make("dt", { class: label === best ? "best" : "" }, label),
      make("dd", {}, make("span", { class: "bar", "aria-hidden": "true" }, fill), make("span", { class: "value" }, percent(score))),
    );
  }
  return list;
};

const answer = (prediction, model) => {
  const [word, sentence] = verdict(prediction);
  const open = prediction.emotion === null || prediction.emotion === undefined;
  return make("div", {},
    make("div", {}, model ? make("p", { class: "by" }, model) : null,
      make("p", { class: open ? "verdict open" : "verdict" }, word),
      make("p", { class: "say" }, sentence),
      alone(prediction) ? make("p", { class: "alone" }, alone(prediction)) : null),
    Object.keys(prediction.scores).length ? bars(prediction.scores, prediction.emotion) : null,
    prediction.warnings.length
      ? make("ul", { class: "warnings", "aria-label": "Warnings" }, ...prediction.warnings.map((text) => make("li", {}, text)))
      : null,
  );
};

const stretches = (segments) => {
  const rows = segments.map((segment) => make("tr", {},
    make("td", {}, `${clock(segment.start)}\u202f–\u202f${clock(segment.end)}`),
    make("td", {}, make("span", { class: `swatch ${tone(segment.emotion)}`, "aria-hidden": "true" }), short(segment)),
    make("td", { class: "number" }, segment.emotion ? percent(segment.scores[segment.emotion] ?? 0) : ""),
  ));
  const head = make("tr", {}, make("th", { scope: "col" }, "From, to"), make("th", { scope: "col" }, "Answer"), make("th", { scope: "col", class: "number" }, "Score"));
  return make("details", {}, make("summary", {}, `${segments.length} stretches as a table`),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Stretches, table" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
};

export class Card {
  constructor(name) {
    this.state = make("div", { class: "waiting" }, make("span", { class: "spinner", "aria-hidden": "true" }), make("span", {}, "One moment…"));
    this.length = make("span", {});
    this.node = make("article", { class: "result", "aria-label": name },
      make("div", { class: "result-head" }, make("h2", {}, name), this.length), this.state);
  }

  wait(text) {
    this.state.lastChild.textContent = text;
  }

  fail(text) {
    this.state.remove();
    this.node.append(make("p", { class: "problem card-problem" }, text));
  }

  // `models` names the predictions, one each.
  async show(file, predictions, models) {
    this.state.remove();
    const segments = predictions[0].segments;
    const last = segments.length ? segments[segments.length - 1].end : 0;
    if (last) this.length.textContent = clock(Math.round(last));
    const several = predictions.length > 1;
    const answers = make("div", { class: several ? "answers" : "answers one" },
      ...predictions.map((one, place) => answer(one, several ? models[place] : "")));
    this.node.append(answers);
    if (segments.length > 1) this.node.append(stretches(segments));
    const sound = await showSound(file, predictions.map((one, place) => [several ? models[place] : "", one.segments]));
    if (sound) this.node.insertBefore(sound, answers);
  }
}
