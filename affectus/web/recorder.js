// The microphone, sent to the service while it is heard; what was said stays here for playing.

import { openStream, ServiceError } from "./api.js";

const WHY = {
  NotAllowedError: "The microphone was not allowed. Allow it beside the address, and try again.",
  NotFoundError: "No microphone was found. Plug one in, or choose a recording.",
  NotReadableError: "The microphone is in use by another program. Close that, and try again.",
};

export class Recorder {
  #audio; #stream; #socket; #pieces = []; #rate = 0; #over = false; #settle;

  constructor({ onAnswer, onBusy, onLevel }) {
    Object.assign(this, { onAnswer, onBusy, onLevel });
  }

  get seconds() {
    return this.#pieces.reduce((sum, piece) => sum + piece.length, 0) / (this.#rate || 1);
  }

  // Resolves when the microphone runs; `done` then resolves with the answer for the whole, or
  // rejects with the service's sentence.
  async start(model) {
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
      throw new ServiceError("browser", "This browser gives no microphone here: it needs https or localhost.");
    }
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new ServiceError("microphone", WHY[error.name] ?? "The microphone could not be opened.");
    }
    this.#audio = new AudioContext();
    await this.#audio.audioWorklet.addModule("/web/capture.js");
    this.#rate = Math.round(this.#audio.sampleRate);
    const node = new AudioWorkletNode(this.#audio, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.#take(data);
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    this.done.catch(() => {});
    this.#socket = openStream(this.#rate, model);
    this.#socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#socket.onclose = () => this.#end(new ServiceError("closed", "The service ended the stream."));
    await new Promise((resolve, reject) => {
      this.#socket.onopen = resolve;
      this.#socket.onerror = () => reject(new ServiceError("busy", "The service takes no more streams now."));
    }).catch((error) => { this.#release(); throw error; });
    this.#audio.createMediaStreamSource(this.#stream).connect(node);
    await this.#audio.resume();
  }

  stop() {
    this.#over = true;
    this.#release();
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send("end");
  }

  discard() {
    this.#over = true;
    this.#release();
    this.#socket.close();
    this.#settle.resolve(null);
  }

  #take({ samples, peak }) {
    if (this.#over) return;
    this.#pieces.push(samples);
    this.onLevel(peak > 0 ? Math.max(-60, 20 * Math.log10(peak)) : -60);
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(samples.buffer);
  }

  #hear(message) {
    if (message.type === "answer" && !this.#over) this.onAnswer(message.segment);
    else if (message.type === "busy") this.onBusy();
    else if (message.type === "final") this.#settle.resolve(message.prediction);
    else if (message.type === "error") this.#end(new ServiceError(message.error.code, message.error.message));
  }

  #end(error) {
    this.#over = true;
    this.#release();
    this.#settle.reject(error);
  }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#audio && this.#audio.state !== "closed") this.#audio.close();
  }

  // What was said, as a WAV file in memory.
  wav() {
    const total = this.#pieces.reduce((sum, piece) => sum + piece.length, 0);
    const head = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((c, i) => head.setUint8(at + i, c.charCodeAt(0)));
    text(0, "RIFF"); head.setUint32(4, 36 + 2 * total, true); text(8, "WAVEfmt ");
    head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
    head.setUint32(24, this.#rate, true); head.setUint32(28, 2 * this.#rate, true);
    head.setUint16(32, 2, true); head.setUint16(34, 16, true); text(36, "data");
    head.setUint32(40, 2 * total, true);
    return new Blob([head, ...this.#pieces], { type: "audio/wav" });
  }
}
