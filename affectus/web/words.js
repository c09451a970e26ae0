// How answers are said. Text from outside enters the page as text, never as HTML.

export const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const KNOWN = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"];
const ADJECTIVE = { disgust: "disgusted" };

export const tone = (emotion) => `t-${KNOWN.includes(emotion) ? emotion : "none"}`;
export const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)}\u202f%`;
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

export const ranked = (scores) => Object.entries(scores).sort((a, b) => b[1] - a[1]);

const NOTHING = {
  "no face": "No face was found.",
  "no speech and no face": "Neither speech nor a face was found.",
};

const seems = (used) => {
  if (!used?.includes("face")) return "The voice sounds";
  return used.includes("voice") ? "Voice and face seem" : "The face looks";
};

// What each stream says by itself, and why one was left out; nothing for models of voices.
export const alone = ({ streams, used, why }) => {
  const own = Object.entries(streams ?? {}).map(([stream, scores]) => [stream, ranked(scores)[0]]).filter(([, best]) => best);
  const said = own.length > 1 ? `Each by itself: ${own.map(([stream, [label, score]]) => `the ${stream} ${label}, ${percent(score)}`).join("; ")}.` : "";
  const left = why && used?.length < 2 ? `Used: ${why}.` : "";
  return [said, left].filter(Boolean).join(" ");
};

// The answer in one or two words, and in a sentence.
export const verdict = ({ emotion, scores, reason, used }) => {
  const [first, second] = ranked(scores ?? {});
  if (emotion === null || emotion === undefined) {
    if (reason === "unsure" && first) {
      return ["Unsure", `No emotion stands out. The nearest is ${first[0]}, at ${percent(first[1])}.`];
    }
    return ["No answer", NOTHING[reason] ?? "No speech was found."];
  }
  const word = ADJECTIVE[emotion] ?? emotion;
  const next = second ? `; next is ${second[0]}, at ${percent(second[1])}` : "";
  return [capital(emotion), `${seems(used)} ${word}: ${percent(scores[emotion] ?? 0)}${next}.`];
};

export const short = ({ emotion, reason }) => emotion ?? reason ?? "no speech";
