// A recording one can see and play: its wave, and below it a band for each stretch of an answer.

import { clock, make, percent, short, tone } from "./words.js";

const PLAY = "M5 3.5v13l11-6.5z";
const PAUSE = "M5 3.5h3.6v13H5zM11.4 3.5H15v13h-3.6z";
const LONGEST = 3600; // s of sound that is drawn

const icon = (path) => {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(space, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
};

const decode = async (file) => {
  const context = new OfflineAudioContext(1, 1, 44100);
  const sound = await context.decodeAudioData(await file.arrayBuffer());
  return sound.duration <= LONGEST ? sound : null;
};

// Each stroke has the colour of what is said of its moment.
const draw = (canvas, samples, duration, segments) => {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  canvas.width = width;
  canvas.height = height;
  const paint = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (seconds) => {
    const segment = segments.find(({ start, end }) => seconds >= start && seconds < end);
    const name = segment ? tone(segment.emotion).slice(2) : "none";
    return style.getPropertyValue(`--${name}`);
  };
  const step = Math.max(2, Math.round(3 * ratio));
  const n = Math.floor(width / step);
  const per = samples.length / n;
  const peaks = Array.from({ length: n }, (_, k) => {
    let peak = 0;
    for (let i = Math.floor(k * per); i < Math.floor((k + 1) * per); i += 1) peak = Math.max(peak, Math.abs(samples[i]));
    return peak;
  });
  const top = Math.max(0.02, ...peaks);
  peaks.forEach((peak, k) => {
    paint.fillStyle = colour((k / n) * duration);
    const tall = Math.max(ratio, (peak / top) * height * 0.92);
    paint.fillRect(k * step, (height - tall) / 2, step - ratio, tall);
  });
};

const bands = (model, segments, duration, seek) => {
  const row = make("div", { class: "bands", role: "group", "aria-label": `Stretches of the recording${model && `, by ${model}`}` });
  let at = 0;
  for (const segment of segments) {
    if (segment.start > at + 0.01) row.append(gap(segment.start - at));
    const best = segment.emotion ? percent(segment.scores[segment.emotion] ?? 0) : "";
    const label = `${short(segment)}, ${clock(segment.start)} to ${clock(segment.end)} ${best}`;
    const band = make("button", { type: "button", class: `band ${tone(segment.emotion)}`, "aria-label": `Play: ${label}`, title: label,
      onclick: () => seek(segment.start, segment.end) }, make("span", {}, short(segment)));
    band.style.flexGrow = String(Math.max(0.01, segment.end - segment.start));
    band.style.flexBasis = "0";
    row.append(band);
    at = segment.end;
  }
  if (duration > at + 0.05) row.append(gap(duration - at));
  return row;
};

const gap = (seconds) => {
  const node = make("span", { class: "band gap", "aria-hidden": "true" });
  node.style.flexGrow = String(seconds);
  node.style.flexBasis = "0";
  return node;
};

// Resolves with the element, or null where there is nothing to see. `said`: [[model, segments], …].
export const showSound = async (file, said) => {
  const segments = said[0][1];
  let sound = null;
  try {
    sound = await decode(file);
  } catch {
    sound = null; // a format that browsers do not know; the service does
  }
  const last = segments.length ? segments[segments.length - 1].end : 0;
  const film = file.type.startsWith("video/") ? make("video", { class: "film", playsinline: true, "aria-label": "The film" }) : null;
  film?.addEventListener("error", () => film.remove()); // a format that browsers do not know
  film?.addEventListener("loadedmetadata", () => { film.hidden = !film.videoWidth; }); // or its sound alone
  if (!sound) {
    if (film) Object.assign(film, { src: URL.createObjectURL(file), controls: true });
    if (segments.length < 2) return film && make("div", { class: "sound mute" }, film);
    return make("div", { class: "sound mute" }, film ?? "", ...said.map(([model, own]) => bands(model, own, last, (start) => {
      if (film) film.currentTime = start;
    })));
  }
  const audio = film ?? new Audio();
  audio.src = URL.createObjectURL(file);
  const cursor = make("div", { class: "cursor" });
  const canvas = make("canvas", {});
  const wave = make("div", { class: "wave", role: "slider", tabindex: "0", "aria-label": "Position in the recording",
    "aria-valuemin": "0", "aria-valuemax": sound.duration.toFixed(1), "aria-valuenow": "0", "aria-valuetext": "0:00" }, canvas, cursor);
  const button = make("button", { type: "button", class: "play", "aria-label": "Play" }, icon(PLAY));
  let until = Infinity;

  const show = () => {
    const at = audio.currentTime;
    cursor.style.left = `${(100 * Math.min(1, at / sound.duration)).toFixed(2)}%`;
    wave.setAttribute("aria-valuenow", at.toFixed(1));
    wave.setAttribute("aria-valuetext", clock(at));
    if (at >= until) { audio.pause(); until = Infinity; }
    if (!audio.paused) requestAnimationFrame(show);
  };
  const face = () => {
    button.replaceChildren(icon(audio.paused ? PLAY : PAUSE));
    button.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    show();
  };
  const seek = (start, end = Infinity) => {
    audio.currentTime = Math.max(0, Math.min(sound.duration, start));
    until = end;
    show();
    if (end !== Infinity) audio.play();
  };
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, face);
  button.addEventListener("click", () => { until = Infinity; if (audio.paused) audio.play(); else audio.pause(); });
  wave.addEventListener("pointerdown", (event) => {
    const box = wave.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * sound.duration);
  });
  wave.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (step) seek(audio.currentTime + step);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(sound.duration);
    else if (event.key === " ") button.click();
    else return;
    event.preventDefault();
  });
  const samples = sound.getChannelData(0);
  new ResizeObserver(() => draw(canvas, samples, sound.duration, segments)).observe(wave);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(canvas, samples, sound.duration, segments));
  return make("div", { class: "sound" }, film, button, wave, ...said.map(([model, own]) => bands(model, own, sound.duration, seek)));
};
