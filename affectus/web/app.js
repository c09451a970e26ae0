// The page: recordings, microphone and camera in, answers out.

import { keepToken, listModels, onToken, predict } from "./api.js";
import { Camera } from "./camera.js";
import { setUpCard } from "./card.js";
import { remember, setUpHistory, showHistory } from "./history.js";
import { Recorder } from "./recorder.js";
import { Card } from "./result.js";
import { capital, clock, make, percent, short, tone } from "./words.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2; // files on their way

const fail = (text) => { $("problem").textContent = text; $("problem").hidden = !text; };

onToken(() => new Promise((resolve) => {
  const dialog = $("ask-token");
  $("token").value = "";
  dialog.addEventListener("close", () => { keepToken($("token").value.trim()); resolve(); }, { once: true });
  if (!dialog.open) dialog.showModal();
}));

// --- models -------------------------------------------------------------------------------------

const chosen = () => $("model").value;
const beside = () => ($("compare").value && $("compare").value !== chosen() ? [$("compare").value] : []);

const streams = new Map(); // what each model answers from: voice, face or both
const looks = () => Boolean(streams.get(chosen())?.includes("face"));
const hears = () => Boolean(streams.get(chosen())?.includes("voice"));

const setUpModels = async () => {
  const { models, runs } = await listModels();
  models.forEach((model) => streams.set(model.id, model.streams ?? ["voice"]));
  $("to-runs").hidden = !runs;
  $("model").replaceChildren(...models.map(({ id }) => make("option", { value: id }, id)));
  $("compare").replaceChildren(make("option", { value: "" }, "nothing"), ...models.map(({ id }) => make("option", { value: id }, id)));
  $("compare-field").hidden = models.length < 2;
  $("model").addEventListener("change", showWays);
  showWays();
};

// --- files --------------------------------------------------------------------------------------

const waiting = [];
let running = 0;

const next = () => {
  while (running < AT_ONCE && waiting.length) {
    const [file, card] = waiting.shift();
    running += 1;
    answer(file, card).finally(() => { running -= 1; next(); });
  }
};

const answer = async (file, card) => {
  try {
    const models = [chosen(), ...beside()];
    const found = await predict(file, file.name, models, () => card.wait("The service is busy. Trying again…"));
    if (!found.predictions.length) throw new Error(found.failed[0]?.error ?? "No answer.");
    await card.show(file, found.predictions, models);
    found.predictions.forEach((prediction, place) => remember(prediction, models[place]));
    showHistory();
  } catch (error) {
    card.fail(error.message);
  }
};

const takeFiles = (files) => {
  fail("");
  for (const file of files) {
    const card = new Card(file.name);
    $("results").prepend(card.node);
    waiting.push([file, card]);
  }
  next();
};

const setUpFiles = () => {
  $("files").addEventListener("change", () => { takeFiles([...$("files").files]); $("files").value = ""; });
  const drop = $("drop");
  for (const event of ["dragenter", "dragover"]) {
    document.addEventListener(event, (e) => { e.preventDefault(); drop.classList.add("over"); });
  }
  document.addEventListener("dragleave", (e) => { if (!e.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (e) => {
    e.preventDefault();
    drop.classList.remove("over");
    if (e.dataTransfer?.files.length) takeFiles([...e.dataTransfer.files]);
  });
};

// --- microphone and camera ----------------------------------------------------------------------

const films = () => looks() && $("camera").checked;

// What can be recorded for the chosen model. Who agreed to one thing has not agreed to another.
const showWays = () => {
  $("camera-field").hidden = !looks();
  $("camera").disabled = !hears();
  if (!hears()) $("camera").checked = true;
  showNotice();
};

const showNotice = () => {
  const on = films();
  $("question").textContent = looks() ? (hears() ? "What do this voice and face express?" : "What does this face express?") : "What does this voice express?";
  $("speak-title").textContent = on ? "Your voice and face" : "Your voice";
  const say = (name, text) => { document.querySelector(`.way .${name}`).textContent = text; };
  say("who", on ? "voice and face" : "voice");
  say("expresses", on ? "express" : "expresses");
  say("what", on ? "Sound and pictures go" : "The sound goes");
  say("are", on ? "are" : "is");
  say("met", on ? "heard or seen" : "heard");
  $("consent").checked = false;
  $("record").disabled = true;
};

let recorder = null;
let ticking = 0;

const showRecording = (on) => {
  $("record").classList.toggle("recording", on);
  $("record-word").textContent = on ? "Stop" : "Record";
  $("discard").hidden = !on;
  $("live").hidden = !on;
  for (const id of ["consent", "model"]) $(id).disabled = on;
  $("camera").disabled = on || !hears();
  clearInterval(ticking);
  if (on) ticking = setInterval(() => { $("clock").textContent = clock(recorder?.seconds ?? 0); }, 200);
};

const showLevel = (decibels) => {
  $("level").firstElementChild.style.width = `${Math.max(0, (100 * (decibels + 60)) / 60)}%`;
  $("level").setAttribute("aria-valuenow", decibels.toFixed(0));
};

const showAnswer = (segment) => {
  const score = segment.emotion ? percent(segment.scores[segment.emotion] ?? 0) : "";
  $("now").textContent = segment.emotion ? `${capital(segment.emotion)}, ${score}` : capital(short(segment));
  $("strip").append(make("li", { class: tone(segment.emotion) }, short(segment), make("small", {}, `${clock(segment.start)} ${score}`)));
  $("strip").scrollLeft = $("strip").scrollWidth;
};

const showPicture = (stream) => {
  $("picture").srcObject = stream;
  $("picture").hidden = !stream;
};

const atTime = (word) => `${word}, ${new Date().toLocaleTimeString([], { timeStyle: "short" })}`;

const record = async () => {
  fail("");
  const film = films();
  const mine = film ? new Camera({ onLevel: showLevel, onPicture: showPicture }) : new Recorder({ onAnswer: showAnswer, onLevel: showLevel,
    onBusy: () => { $("now").textContent = "The service is busy; answers come late."; } });
  const model = chosen();
  $("record").disabled = true;
  try {
    await mine.start(model);
  } catch (error) {
    fail(error.message);
    return;
  } finally {
    $("record").disabled = false;
  }
  recorder = mine;
  $("strip").replaceChildren();
  $("live-title").textContent = film ? "Filming" : "Listening";
  $("strip").hidden = film;
  $("now").textContent = film ? "Look at the camera and speak: the answer comes when you stop." : "Speak: the first answer comes after three seconds.";
  $("clock").textContent = "0:00";
  showRecording(true);
  try {
    const prediction = await mine.done;
    if (prediction && film) {
      takeFiles([new File([prediction], atTime("Camera"), { type: prediction.type })]);
    } else if (prediction) {
      const name = atTime("Microphone");
      prediction.file = name;
      const card = new Card(name);
      $("results").prepend(card.node);
      await card.show(mine.wav(), [prediction], [model]);
      remember(prediction, model);
      showHistory();
    }
  } catch (error) {
    fail(error.message);
  } finally {
    recorder = null;
    showRecording(false);
  }
};

const setUpMicrophone = () => {
  $("consent").checked = false;
  $("camera").addEventListener("change", showNotice);
  $("consent").addEventListener("change", () => { $("record").disabled = !$("consent").checked; });
  $("record").addEventListener("click", () => {
    if (!recorder) record();
    else { $("now").textContent = "One moment…"; recorder.stop(); }
  });
  $("discard").addEventListener("click", () => recorder?.discard());
};

// --- start --------------------------------------------------------------------------------------

setUpFiles();
setUpMicrophone();
setUpHistory();
setUpCard(chosen, fail);
try {
  await setUpModels();
} catch (error) {
  fail(error.message);
}
